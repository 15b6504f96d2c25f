"""The command line, the runtime on one machine, the database and the containers.

`cli` is the command `parktwin`; `local` runs broker and database, each a `service`, in a `sandbox`
from a bundle that `packages` unpacks; `supervisor` runs the programs; `documentation` writes
generated pages; `database` is what ingest and api share; `parks` has the demonstration.
Start with `cli`. May import all packages.
"""
