"""What-if scenarios from the live state on.

`answer` has the initial state, the types of the answer and its columns, `routes` the body of a
scenario, its limits and the computation. Start with `routes`. May import `sums` and what it may.
"""
