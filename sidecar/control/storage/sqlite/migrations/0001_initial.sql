-- What the plane knows. Instants are microseconds since the Unix epoch, incarnations the 16 bytes
-- of their UUIDs (all zero: the plane itself), documents JSON of the domain's values.

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch TEXT NOT NULL,
    revision INTEGER NOT NULL,
    ledger_version INTEGER NOT NULL
) STRICT;

CREATE TABLE catalog (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    document BLOB NOT NULL
) STRICT;

-- A document that is NULL is a tombstone: watchers that resume learn that the company is gone.
CREATE TABLE company (
    company TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX company_by_revision ON company (revision, company);

CREATE TABLE incarnation (
    incarnation BLOB NOT NULL PRIMARY KEY,
    watermark INTEGER NOT NULL,
    head BLOB NOT NULL,
    fenced INTEGER NOT NULL,
    node TEXT NOT NULL,
    first_heard_us INTEGER NOT NULL,
    last_heard_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE incarnation_tally (
    incarnation BLOB NOT NULL,
    feature TEXT NOT NULL,
    records INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (incarnation, feature)
) STRICT, WITHOUT ROWID;

CREATE TABLE chain (
    incarnation BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    chain BLOB NOT NULL,
    PRIMARY KEY (incarnation, sequence)
) STRICT, WITHOUT ROWID;

-- Append-only. The columns are what sums and filters need; "record" holds all of it, as the sidecar
-- chained over it.
CREATE TABLE ledger (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    event_time_us INTEGER NOT NULL,
    incarnation BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    overage INTEGER NOT NULL,
    accepted_us INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    record BLOB NOT NULL,
    duplicate_of TEXT NOT NULL,
    unattributed INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX ledger_by_company
    ON ledger (company, event_time_us, incarnation, sequence);

CREATE TABLE first_use (
    company TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    incarnation BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    digest BLOB NOT NULL,
    received_us INTEGER NOT NULL,
    PRIMARY KEY (company, idempotency_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX first_use_by_age ON first_use (received_us);

-- The end of the window stands before its start, so that open windows are found without a look at
-- the closed ones.
CREATE TABLE counter (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    slot TEXT NOT NULL,
    dimension_values TEXT NOT NULL,
    total INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (company, feature, window_end_us, window_start_us, slot, dimension_values)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter_part (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    slot TEXT NOT NULL,
    dimension_values TEXT NOT NULL,
    incarnation BLOB NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY
        (company, feature, window_end_us, window_start_us, slot, dimension_values, incarnation)
) STRICT, WITHOUT ROWID;
