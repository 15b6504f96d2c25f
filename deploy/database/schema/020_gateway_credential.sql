-- With what gateways come in at the broker. A credential never goes: who had which, and when, stays known. `password`
-- is hashed as Mosquitto writes it (PBKDF2, SHA-512); `until` is the end of one that was rotated, `ended` of one that
-- was revoked.
CREATE TABLE gateway_credential (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enterprise  text NOT NULL,
    gateway     text NOT NULL,
    username    text NOT NULL UNIQUE,
    password    text NOT NULL,
    created     timestamptz NOT NULL,
    created_by  text NOT NULL,
    until       timestamptz,
    ended       timestamptz
);
CREATE INDEX gateway_credential_gateway ON gateway_credential (enterprise, gateway);
