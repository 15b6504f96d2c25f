"""What starts and joins the programs: command line, one-machine runtime, database, containers.

`cli` is the command `parktwin`; `local` runs broker and database, `supervisor` the programs;
`database` is what ingest and api share of the database. Start with `cli`. May import all packages.
"""
