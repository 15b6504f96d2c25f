-- Suspected unit errors: a steady tag jumped to its level times a factor between two units of measure.

-- One row from the first to the newest sample of a suspicion; they are stored as uncertain or, out of the
-- range of the tag, as bad. The tag shows level * factor + shift, in its own unit of measure. `state`: open,
-- ended (the values came back, or the samples were corrected) or learnt (the level was learnt anew).
-- `answer` is that of an operator: dismiss or rescale; who gave it is in the body of the command.
CREATE TABLE unit_error (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tag_id   int NOT NULL,
    since    timestamptz NOT NULL,
    last     timestamptz NOT NULL,
    samples  bigint NOT NULL,
    factor   float8 NOT NULL,
    shift    float8 NOT NULL,
    level    float8 NOT NULL,  -- SI, expected without the error
    spread   float8 NOT NULL,  -- SI, standard deviation about it
    state    text NOT NULL CHECK (state IN ('open', 'ended', 'learnt')),
    answer   text CHECK (answer IN ('dismiss', 'rescale')),
    answered timestamptz,
    command  bigint,
    UNIQUE (tag_id, since)
);
