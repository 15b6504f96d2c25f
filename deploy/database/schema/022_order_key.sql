-- A repeated order is done once: the key that its sender gave it (account:key), and the SHA-256 of the whole request.
ALTER TABLE command ADD COLUMN key text UNIQUE, ADD COLUMN request bytea;
