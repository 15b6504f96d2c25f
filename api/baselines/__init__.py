"""Energy baselines over HTTP: models, what they expect, savings and changes.

Start with `routes`: models, savings, orders. `windows` reads energy and variables of the windows of
a baseline, `figures` compares them with a model, `stored` reads models, `answer` has the types.
`forecast` and `bridge` are routes of their own; `movement` and `findings` belong to the bridge.
`__main__` is `parktwin baseline fit`. May import `api.consumption` and `api.energy`; `api.desk` in
`__main__`.
"""
