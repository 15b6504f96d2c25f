"""Gateways with a known truth: they stand in for plants that are not wired yet.

process: the true state of a park; scenarios: events and their truth; `instruments`: readings, noise
and faults; gateways: messages in every format; scoring: the results of the twin against the truth;
`load`: throughput; `options`: the command line.
Start with `process.process`. May import twin, `ingest.wire` and `deploy.database`.
"""
