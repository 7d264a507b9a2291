-- What was known of the time (see KnownTime), so that a restart notices a clock that leapt.

CREATE TABLE known_time (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    now_us INTEGER NOT NULL,
    sure_us INTEGER NOT NULL,
    offset_us INTEGER NOT NULL,
    boot TEXT NOT NULL,
    ticks_us INTEGER NOT NULL
) STRICT;
