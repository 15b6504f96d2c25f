"""One cycle is one transaction: validate, derive, fold minutes, store, acknowledge.

Start with `cycle`. `validation` judges samples, `restatement` folds minutes again that late samples
touch, `balance_monitor` watches the balances, `writers` lets several writers take turns.
May import `ingest.routing`, `ingest.store` and what they may.
"""
