"""The command line, the runtime on one machine, the database and the containers.

`cli` is the command `parktwin`; `local` runs broker and database, `supervisor` the programs;
`database` is what ingest and api share of the database. Start with `cli`. May import all packages.
"""
