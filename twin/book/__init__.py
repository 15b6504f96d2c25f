"""Book data: values of tags that people enter by period, as no meter gives them.

Start with `model` (table ``[[book]]``), then `periods` and `entries`. Imports twin.model and the
ground of the twin.
"""
