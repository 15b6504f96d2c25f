"""Shared by the programs: schema, migrations, COPY both ways, times, errors, settings.

`schema` has the numbered SQL files that `migrations` applies; `copy` encodes and decodes columns;
`times` converts times and empty values; `errors` turns failures of the driver into StoreError;
`settings` is the base of the settings classes and finds the demonstration park.
The one part of deploy that ingest, api and simulators may import. Start with
`schema/001_park.sql`. May import the ground of twin.
"""
