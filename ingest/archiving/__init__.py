"""What is old goes from the database into the files of the archive, beside the cycles.

`archivist` is the task: it writes a day or month, reads it back, lets readers know, and only then
takes its rows out of the database. Start there.
May import `deploy.archive`, `ingest.store` and what they may.
"""
