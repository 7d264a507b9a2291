-- Rollover: what was carried into a counter's window, JSON by age; NULL where nothing rolls over.
-- The terms are those by which the window was closed (JSON; NULL before that, or where its row of
-- windows ends with it), settled says that they are final, due when to look at it next.

ALTER TABLE counter ADD COLUMN carried TEXT;
ALTER TABLE counter ADD COLUMN rollover_terms TEXT;
ALTER TABLE counter ADD COLUMN rollover_settled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counter ADD COLUMN rollover_due_us INTEGER;

CREATE INDEX counter_rollover
    ON counter (company, feature, slot, window_end_us) WHERE carried IS NOT NULL;

CREATE INDEX counter_rollover_due ON counter (rollover_due_us) WHERE rollover_due_us IS NOT NULL;

-- How far changes were looked through for limits that newly roll over.
CREATE TABLE rollover_walk (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    company TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    signature TEXT NOT NULL
) STRICT;
