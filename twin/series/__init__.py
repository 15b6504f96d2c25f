"""Values over time: samples in columns, the image, minutes, windows.

`samples` are columns of (tag, time, value, quality); `traits` says how the values of a tag behave
between them; `image` is the newest sample of each tag; `minutes` aggregates samples, in whatever
order they arrive; `counters` tells a rollover from a reset; `windows` are hours, shifts, days and
months on the clock of the park.
Start with `minutes`. May import the ground of twin and `twin.model`.
"""
