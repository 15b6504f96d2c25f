"""`parktwin import`: recorded history from CSV and Parquet files.

`mapping` checks the import map; `files` reads columns of text; `cells` makes times and numbers of
them; `chunks` makes samples; `loader` stores a chunk like a cycle and remembers how far it is.
Start with `loader`. May import `ingest.cycle`, `ingest.cli` and what they may.
"""
