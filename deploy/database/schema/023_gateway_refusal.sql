-- Of each gateway with a credential, the messages that the broker has refused since it was started: to topics that are
-- not its own.
CREATE TABLE gateway_refusal (
    enterprise  text NOT NULL,
    gateway     text NOT NULL,
    messages    bigint NOT NULL,
    topic       text NOT NULL,
    newest      timestamptz NOT NULL,
    PRIMARY KEY (enterprise, gateway)
);
