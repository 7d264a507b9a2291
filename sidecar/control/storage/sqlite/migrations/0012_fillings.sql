-- Fillings: usage that is taken over from the ledger into counters of a limit that is new (see Filling). "slot" names no
-- generation, "counted_by" is JSON. Lines up to (reached_us, reached_incarnation, reached_sequence) were gone through.
CREATE TABLE filling (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    slot TEXT NOT NULL,
    counted_by TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    keep_until_us INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    reached_us INTEGER,
    reached_incarnation BLOB,
    reached_sequence INTEGER,
    PRIMARY KEY (company, feature, slot)
) STRICT, WITHOUT ROWID;

CREATE INDEX filling_unfinished ON filling (company, feature, slot) WHERE stage < 4;

CREATE INDEX filling_by_age ON filling (keep_until_us);

-- What the lines of a filling that were gone through add up to, by counter, until the counter has it.
CREATE TABLE filling_sum (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    slot TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    counter_slot TEXT NOT NULL,
    dimension_values TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (company, feature, slot, window_end_us, window_start_us, counter_slot, dimension_values)
) STRICT, WITHOUT ROWID;

-- How far companies were looked through for limits that are new to them (see FillingWalk).
CREATE TABLE filling_walk (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    company TEXT NOT NULL,
    since_us INTEGER NOT NULL,
    wanted TEXT NOT NULL,
    catalog_company TEXT NOT NULL
) STRICT;
