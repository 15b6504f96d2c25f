"""The cheapest load plan of electrolysers and potlines from the live state on: advice only.

`routes` has the query, its limits and the computation, `answer` the types of the answer and its
columns. Start with `routes`. May import `scenarios`, for the live state, and what that may.
"""
