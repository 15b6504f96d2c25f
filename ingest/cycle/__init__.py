"""One cycle is one transaction: validate, derive, fold minutes, store, acknowledge.

Start with `cycle`. `validation` judges samples, `restatement` folds minutes again that late samples
touch, `balance_monitor` watches the balances, `gateways` those who send, and the health of ingest.
May import `ingest.routing`, `ingest.store` and what they may.
"""
