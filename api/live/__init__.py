"""The live image of the park and the feed that keeps it current.

`catalogue` has the tags as columns and the compiled model, `image` the newest sample of each tag,
`alarm_board` the alarms; `feed` follows the cycles of ingest and wakes the clients. Start with
`feed`. May import `answers`, `encode`, `store` and what they may.
"""
