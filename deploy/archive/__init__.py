"""The archive: samples and minutes beyond their hot age, in Parquet files of one day or month each.

`layout` has the columns, writes a file and reads rows of some tags back; `manifest` knows which
files there are, and makes one answer of their rows and those of the database.
ingest writes it, ingest and api read it. Start with `layout`. May import `deploy.database` and the
ground of twin.
"""
