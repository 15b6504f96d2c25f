"""Energy baselines: what a scope should use, what it saves, what comes next, what moved it.

Start with `model` (table ``[[baseline]]``, a fitted model and its choice of variables);
`regression` fits, `acceptance` judges, `savings` compares with what was used and finds when it
changed; `forecast` says what comes next, `bridge` what moved it.
May import `twin.model`, `twin.accounts` and the ground of the twin.
"""
