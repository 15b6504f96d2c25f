"""Targets over HTTP: the state, gap, pace and forecast of each.

`answer` has the types, `figures` the value of each kind of figure in windows, `outlook` gap, pace,
forecast and what moved a figure, `routes` the route.
"""
