"""The park model: its scopes, tags and tables, and how their rows are checked.

Start with `park`: the values a loaded model consists of.
May import the ground of twin only.
"""
