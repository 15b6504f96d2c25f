"""The commands of operators: quarantine, rejects, replay; how they reach a running ingest.

Start with `send`. May import `ingest.cycle`, `ingest.file_import` and what they may.
"""
