-- All tags that are late, as a numpy column, where a cycle tells: the newest that is not null holds.
ALTER TABLE cycle ADD COLUMN late bytea;
