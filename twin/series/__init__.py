"""Values over time: samples in columns, the newest of each tag, minutes, windows.

Start with `minutes`: how samples become amounts, in whatever order they arrive.
May import the ground of twin and `twin.model`.
"""
