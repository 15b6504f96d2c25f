"""Gateways with a known truth: they stand in for plants that are not wired yet."""
