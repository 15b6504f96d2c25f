"""Backups of the database of a data folder, and a new data folder made of one."""
