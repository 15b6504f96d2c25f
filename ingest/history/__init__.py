"""Recorded history from files: read by a map, stored as if it had come over the wire."""
