"""The database as ingest writes it: one connection, one writer, tables by subject.

Start with `store`: connection, transactions, samples and minutes. Each other module holds the
statements of one subject, as a part of the store: `alarms`, `baselines`, `commands`, `contacts`,
`detections`, `forwards`, `gateways`, `imports`, `model_problems`, `quarantine` (with rejects),
`sums` (hours and days), `unit_errors` and `writers` (turns).
May import `deploy.database`, `ingest.routing` and what they may.
"""

from ingest.store.store import Store, open_when_ready

__all__ = ["Store", "open_when_ready"]
