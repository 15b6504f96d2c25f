"""From a message to samples: topic to enterprise and codec, names to tags, values to SI.

Start with `decode`. May import `ingest.wire` and `ingest.counters`.
"""
