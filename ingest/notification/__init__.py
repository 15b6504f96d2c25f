"""Alarms leave the control room: each ``[[notify]]`` of the model is told by mail or webhook.

Start with `notifier`: a task for each row, with what it owes in table ``notify``. `message` says
what an alarm is in words, `delivery` hands a message over.
May import `ingest.store` and what that may.
"""
