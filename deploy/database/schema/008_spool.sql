-- The spool: messages of gateways that sent more than their share while ingest was behind.

-- Acknowledged to their senders, and not decoded yet. `packed`: a MessagePack array of consecutive messages of one
-- gateway (empty: of nobody in particular), each an array of topic, payload, arrival [us], packet id, QoS, connection
-- and the bytes cut off. A row is deleted once its samples are stored.
CREATE TABLE spool (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway  text NOT NULL,
    since    timestamptz NOT NULL,  -- arrival of the first message
    messages int NOT NULL,
    packed   bytea NOT NULL
);
-- Written once, read once: compressing it costs more than it saves.
ALTER TABLE spool ALTER COLUMN packed SET STORAGE EXTERNAL;
