-- One-off grants of credits (see StoredGrant): what has burned of them is on their counters. "told": sidecars hear of it.
CREATE TABLE credit_grant (
    company TEXT NOT NULL,
    id TEXT NOT NULL,
    feature TEXT NOT NULL,
    amount INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    effective_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    reason TEXT NOT NULL,
    granted_us INTEGER NOT NULL,
    voided_us INTEGER,
    void_reason TEXT NOT NULL,
    told INTEGER NOT NULL,
    PRIMARY KEY (company, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX credit_grant_told ON credit_grant (company, id) WHERE told;

CREATE INDEX credit_grant_by_expiry ON credit_grant (company, expires_us, id);

-- What the plane did with balances (see CreditEntry), append-only. "parts" is JSON; a record where it concerns one.
CREATE TABLE credit_entry (
    number INTEGER PRIMARY KEY,
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    credit_grant TEXT NOT NULL,
    parts TEXT NOT NULL,
    incarnation BLOB,
    sequence INTEGER,
    reason TEXT NOT NULL,
    request TEXT NOT NULL
) STRICT;

CREATE INDEX credit_entry_by_time ON credit_entry (company, at_us, number);

CREATE INDEX credit_entry_of_record
    ON credit_entry (company, incarnation, sequence) WHERE incarnation IS NOT NULL;

CREATE UNIQUE INDEX credit_entry_by_request ON credit_entry (company, request) WHERE request <> '';

-- What was refunded and could not return any more: it stays used on its counter, and is no burn.
CREATE TABLE credit_loss (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    slot TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (company, feature, window_end_us, window_start_us, slot)
) STRICT, WITHOUT ROWID;

-- What counters have repaid of debts and was not given back, so that refunds find it.
CREATE TABLE credit_repayment (
    number INTEGER PRIMARY KEY,
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    slot TEXT NOT NULL,
    amount INTEGER NOT NULL
) STRICT;

CREATE INDEX credit_repayment_by_balance ON credit_repayment (company, feature, number);

-- Balances that owe something: they are looked at as grants come into force.
CREATE INDEX counter_debt ON counter (company, feature) WHERE slot = 'OVERDRAFT' AND total > 0;
