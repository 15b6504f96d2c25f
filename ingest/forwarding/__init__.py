"""Values of outlets go on to an authority by HJ 212, and what it missed is sent later.

Start with `forwarder`: a task for each ``[[forward]]`` of the model with a connection of its own.
`owed` keeps which time is owed, `report` makes packets of items and reads the answers. What is sent
is made by `twin.emissions.forwarding`.
May import `ingest.store` and what that may.
"""
