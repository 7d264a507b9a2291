-- Of a lease whose holder left it since a loss of state: up to where that has counted for certain. It is never released.
ALTER TABLE lease ADD COLUMN counted INTEGER;
