-- That a witness of leases stood beside this database: one that has none then was restored or moved without it.
ALTER TABLE meta ADD COLUMN is_witnessed INTEGER NOT NULL DEFAULT 0;
