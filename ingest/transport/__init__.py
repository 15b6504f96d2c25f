"""Connections: the MQTT subscriber, the HJ 212 listener, publication of derived values.

Start with `subscriber`; `packet_reader` is the one module on private parts of the MQTT library.
May import `ingest.wire`, `ingest.routing`, settings and counters.
"""
