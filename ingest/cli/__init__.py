"""Commands people type: quarantine, rejects, replay; how they send orders and show progress.

Start with `send`. May import `ingest.cycle`, `ingest.file_import` and what they may.
"""
