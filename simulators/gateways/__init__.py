"""Gateways: whose tags they carry, in which format, when a message goes out.

Start with `gateways`. May import `simulators.instruments`, what that may, and `ingest.wire`.
"""
