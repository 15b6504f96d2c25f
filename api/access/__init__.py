"""Who may use the API, and for what: accounts, sessions, tokens, rights, and the record of it.

`rights` has roles and what each may do; `accounts` are accounts and what opens their doors in the
database; `seal` closes secrets that have to be read again, `totp` has codes of a second factor,
`oidc` is a provider by which people come in as well; `audit` is the record that shows when it was
changed; `guard` finds out who asks and lets each request through or not; `sessions`,
`second_factor`, `sign_in`, `people` and `record` are the routes. Start with `guard`.
Without accounts (`PARKTWIN_ACCESS=demo`) everybody who reaches the API, on this machine only, may
do everything.
"""
