"""Load plans: the cheapest loads of electrolysers and potlines that keep every limit, as advice.

Start with `present`: the problem of a park from its present state on. `problem` has its arrays,
`programme` its columns and rows, `solver` solves it, `assessment` says what a plan is worth and
what breaks it; `limits` has the table of the model.
May import `twin.scenario`, `twin.energy`, `twin.chlorine` and what they may.
"""
