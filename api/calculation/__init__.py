"""Calculations of the API in processes of their own, so that the loop of the live feed never waits.

`pool` admits requests, lets clients take turns and hands each request to a process; `__main__` is
that process: it answers a request by the same routes, `inline`. Start with `pool`. May import
`context`, `encode`, `problems` and what they may; the process sees the whole API.
"""
