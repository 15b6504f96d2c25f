"""The one writer: MQTT in, one transaction a cycle, acknowledgement after the commit.

transport: the MQTT subscriber, the HJ 212 listener, derived values back to the broker;
wire: one codec per payload format; routing: from a topic to tags and SI values;
cycle: validate, derive, aggregate, store a block of messages; store: the database by subject;
commands: orders of operators to a running ingest; file_import: recorded history from files;
cli: the commands people type. `counters` and `settings` stand beside them.
Start with `cycle.cycle`. May import twin and `deploy.database`.
"""
