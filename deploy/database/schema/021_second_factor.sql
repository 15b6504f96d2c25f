-- The second factor of an account: `totp` is the secret of its codes, sealed with a key that is not in the database;
-- `totp_new` is one whose first code is still to come. `totp_step` is the newest time step of which a code was taken:
-- none is taken twice. `subject` is who it is for a provider of OpenID Connect, "issuer subject".
ALTER TABLE account
    ADD totp      bytea,
    ADD totp_new  bytea,
    ADD totp_step bigint NOT NULL DEFAULT 0,
    ADD subject   text UNIQUE;
-- A recovery code is given in the place of one of the second factor, once. The label of a session is the provider by
-- which somebody came in, else empty.
ALTER TABLE credential DROP CONSTRAINT credential_kind_check;
ALTER TABLE credential ADD CONSTRAINT credential_kind_check
    CHECK (kind IN ('session', 'token', 'invitation', 'recovery'));
