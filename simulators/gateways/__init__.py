"""Gateways: their tags, formats and sessions, and the times at which messages go out.

Start with `gateways`. May import `ingest.wire` and all of simulators but scoring.
"""
