"""Gateways with a known truth: they stand in for plants that are not wired yet.

process: the true state of a park; scenarios: what happens to it; instruments: what meters show of
it; gateways: how that is sent; scoring: what the twin makes of it, against the truth.
Start with `process.process`. May import twin and `ingest.wire`.
"""
