-- Whether the bias came at once (step) or goes on growing (drift), and by how much: 0 of a step, and of
-- what was detected before.
ALTER TABLE detection
    ADD COLUMN shape text NOT NULL DEFAULT 'step',
    ADD COLUMN rate float8 NOT NULL DEFAULT 0;  -- kg/s^2
