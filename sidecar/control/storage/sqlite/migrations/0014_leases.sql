-- Leases: up to where an incarnation may count on a counter by its own records (see StoredLease). What of it is outstanding
-- is never stored: it is what counter_part lacks of it, so that records settle a lease by being counted.
CREATE TABLE lease (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    slot TEXT NOT NULL,
    dimension_values TEXT NOT NULL,
    incarnation BLOB NOT NULL,
    granted INTEGER NOT NULL,
    number INTEGER NOT NULL,
    valid_until_us INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    asked_us INTEGER NOT NULL,
    since_us INTEGER NOT NULL,
    released INTEGER NOT NULL,
    PRIMARY KEY
        (company, feature, window_end_us, window_start_us, slot, dimension_values, incarnation)
) STRICT, WITHOUT ROWID;

-- What one incarnation holds, and what has ended.
CREATE INDEX lease_by_incarnation
    ON lease (incarnation, company, feature, window_end_us, window_start_us, slot, dimension_values);

CREATE INDEX lease_by_end ON lease (window_end_us);

-- Grows with every transaction that changes leases: a witness beside the database remembers it.
ALTER TABLE meta ADD COLUMN lease_revision INTEGER NOT NULL DEFAULT 0;

-- What a sidecar said that it knows: a bit for each number of a capability. 0 for those that were not asked yet.
ALTER TABLE incarnation ADD COLUMN capabilities INTEGER NOT NULL DEFAULT 0;
