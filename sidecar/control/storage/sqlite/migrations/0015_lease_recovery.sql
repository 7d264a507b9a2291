-- That an older state of the database was found, and whom to wait for (see LeaseRecovery, ExpectedHolder).
CREATE TABLE lease_recovery (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    restored_us INTEGER NOT NULL,
    unknown_until_us INTEGER NOT NULL,
    lifetime_until_us INTEGER NOT NULL,
    ended_us INTEGER
) STRICT;

CREATE TABLE expected_holder (
    incarnation BLOB NOT NULL PRIMARY KEY,
    until_us INTEGER NOT NULL,
    has_lifetime INTEGER NOT NULL,
    reporter BLOB NOT NULL,
    reported INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
