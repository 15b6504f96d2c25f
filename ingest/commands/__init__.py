"""What operators ask of a running ingest about quarantine, rejects and the model.

Start with `commands`; `adopt` writes a tag into the park model.
May import `ingest.routing`, `ingest.store` and what they may.
"""
