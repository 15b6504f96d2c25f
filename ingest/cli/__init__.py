"""Commands of operators, like `gateway`, `quarantine`, `reload`, `registers`, `unit_errors`.

`send` writes an order for the running ingest into the database and waits for its outcome; the
others are the programs that people type. `replay` derives the past again by itself.
Start with `send`. May import `ingest.cycle` and what that may.
"""
