"""The one writer: MQTT in, one transaction a cycle, acknowledgement after the commit.

transport: the broker, HJ 212 loggers, derived values back; wire: one codec per payload format;
routing: from a topic to tags and SI values; cycle: what is done with a block of messages;
commands: what operators ask of a running ingest; file_import: recorded history from files;
cli: the commands that people type. `store` is the door to the database, `queries` its SQL.
Start with `cycle.cycle`. May import twin and `deploy.database`.
"""
