"""From a message to samples: topic to enterprise and codec, names to tags, values to SI.

`topics` finds the enterprise, the names and the codec of a topic; `sparkplug_session` follows the
births, deaths and sequence numbers of edge nodes; `decode` makes columns of samples of a block of
messages, and rejects and quarantined samples of the rest.
Start with `decode`. May import `ingest.wire`, `ingest.counters` and settings.
"""
