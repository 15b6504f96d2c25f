"""The readers' door: the twin over HTTP, from the database, without state of its own."""
