"""Shared by programs: schema, migrations, COPY both ways, times, errors, settings.

The one part of deploy that ingest, api and simulators may import. Start with `schema/001_park.sql`.
May import the ground of twin.
"""
