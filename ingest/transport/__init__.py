"""Connections: the MQTT subscriber, the HJ 212 listener, publication of derived values.

Start with `subscriber`. May import `ingest.wire`, `ingest.routing`, settings and counters.
"""
