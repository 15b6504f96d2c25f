"""The park model: its scopes, tags and tables, and how their rows are checked.

`park` has the values of a loaded model: scopes, tags, streams, tanks, meters, products. `rows`
reads tables of TOML files: columns as fields of a class, cells parsed by rules, all problems at
once with file and line; scenarios and import maps use it too. `gateways` has the rows of gateways.
Start with `park`. May import the ground of twin only.
"""
