"""One cycle is one transaction: validate, derive, aggregate, store; then acknowledge.

`cycle` does it; `validation` marks suspect samples and applies answers to unit errors;
`restatement` writes minutes, and aggregates them again where late samples touch them;
`alarms` evaluates alarms and their commands; `balance_monitor` tests the balances;
`gateways` keeps counts, clocks and silence of gateways, and the health of ingest.
Start with `cycle`. May import `ingest.routing`, `ingest.store` and what they may.
"""
