"""`parktwin import`: recorded history from tables in files.

`mapping` checks the import map, `layout` finds its columns in the header of a file. `files` opens
what comes and yields columns: `text_files`, `sheets`, `nem12` and Parquet. `cells` makes numbers of
them, with `uoms`; `time_forms` makes times, and `clocks` UTC of these. `chunks` makes samples;
`loader` stores a chunk like a cycle and remembers how far it is. `suggestion` writes a first map of
a file, by `table_guesses` and `form_guesses`. Start with `chunks`. May import `ingest.cycle`,
`ingest.cli` and what they may.
"""
