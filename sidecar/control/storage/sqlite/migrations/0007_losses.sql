-- Usage that is known to be gone, until an operator has seen it. Sequences are 0 where they are not
-- known, and so is an incarnation (16 zero bytes).
CREATE TABLE loss (
    incarnation BLOB NOT NULL,
    first_sequence INTEGER NOT NULL,
    noticed_us INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    reason TEXT NOT NULL,
    node TEXT NOT NULL,
    acknowledged_us INTEGER,
    PRIMARY KEY (incarnation, first_sequence, noticed_us)
) STRICT, WITHOUT ROWID;

CREATE INDEX loss_by_age ON loss (noticed_us);

CREATE INDEX loss_unseen ON loss (noticed_us) WHERE acknowledged_us IS NULL;
