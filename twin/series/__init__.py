"""Values over time: samples in columns, the latest values, minutes, windows.

Start with `minutes`: how samples become amounts, in whatever order they arrive.
May import the ground of twin and `twin.model`.
"""
