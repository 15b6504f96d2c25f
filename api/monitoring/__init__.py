"""The online energy monitoring of key users: items of enterprises, a statement of quality, files.

Start with `routes`: no figure is calculated anew, the rows are those of consumption and of energy
per tonne. `statement` says how far the data keep the rules, `files` writes CSV and XLSX, `__main__`
is `parktwin export`. May import `api.consumption`, `api.energy`, `api.book` and the wording of
`api.reports`, and what these may; `api.desk` in `__main__`.
"""
