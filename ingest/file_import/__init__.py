"""`parktwin import`: recorded history from CSV and Parquet files.

Start with `loader`, which stores a chunk of a file like a cycle; `mapping` checks the import map.
May import `ingest.cycle` and what that may.
"""
