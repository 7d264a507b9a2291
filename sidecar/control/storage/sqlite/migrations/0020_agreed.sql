-- When an incarnation's history was last seen to be the ledger's: who was heard of since a loss of state may not have shown it yet.
ALTER TABLE incarnation ADD COLUMN agreed_us INTEGER NOT NULL DEFAULT 0;
UPDATE incarnation SET agreed_us = last_heard_us;
