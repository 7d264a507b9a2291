-- Of the last request that was granted anything: who knows only earlier ones does not know all that a holder has.
ALTER TABLE expected_holder ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
