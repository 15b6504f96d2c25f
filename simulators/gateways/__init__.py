"""Gateways: their tags, formats and sessions, and the times at which messages go out.

`gateways` has them as data; `encoding` makes payloads with the codecs of ingest; `delivery` gives
the times of messages, late, doubled and cut off included; `publisher` sends them by MQTT or TCP.
Start with `gateways`. May import `ingest.wire` and all of simulators but scoring.
"""
