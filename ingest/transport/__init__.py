"""Connections: messages in by the block, acknowledgements and derived values out.

`subscriber` holds the session with the broker, the inbox and the next block, which is decoded while
the database works; `packet_reader` cuts packets off the socket, the one module on private parts of
the MQTT library; `discovery` looks at foreign topics; `hj212_listener` answers data loggers;
`publication` publishes derived values.
Start with `subscriber`. May import `ingest.wire`, `ingest.routing`, settings and counters.
"""
