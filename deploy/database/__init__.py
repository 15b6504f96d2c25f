"""The database that ingest and api share: schema, migrations, binary COPY, times.

The one part of deploy that ingest and api may import. Start with `schema/001_park.sql`.
May import the ground of twin.
"""
