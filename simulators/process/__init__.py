"""The true state of a park: every tag a pure function of time and seed, all balances closed.

`plant` compiles a park model, its electricity included; `process` computes the state at a time with
`cells` (electrolysers), `vessels` (tanks), `flows` (the stream network of a component) and
`recipes` (reactions of units); `disturbances` are the slow signals behind all of it.
Start with `process`. May import twin only.
"""
