"""The live feed: what changed since a client's last event, as server-sent events.

Start with `feed`. May import the modules of api that stand beside this folder.
"""
