-- Seats: who has one of which counter (see Seat). One that was given back stays, so that sidecars hear of it, and that who
-- comes back to it is known. How many are held is kept with each counter of seats (see SeatPool): no call counts rows.
CREATE TABLE seat (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    slot TEXT NOT NULL,
    holder TEXT NOT NULL,
    assigned_us INTEGER NOT NULL,
    released_us INTEGER,
    version INTEGER NOT NULL,
    PRIMARY KEY (company, feature, window_end_us, window_start_us, slot, holder)
) STRICT, WITHOUT ROWID;

-- Sidecars go through changes by version.
CREATE INDEX seat_by_version ON seat (version);

-- What is forgotten: seats of windows that are over, and those that were given back long ago.
CREATE INDEX seat_by_end ON seat (window_end_us);
CREATE INDEX seat_released ON seat (released_us) WHERE released_us IS NOT NULL;

CREATE TABLE seat_pool (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    window_end_us INTEGER NOT NULL,
    window_start_us INTEGER NOT NULL,
    slot TEXT NOT NULL,
    held INTEGER NOT NULL,
    freed INTEGER NOT NULL,
    freed_since_us INTEGER NOT NULL,
    PRIMARY KEY (company, feature, window_end_us, window_start_us, slot)
) STRICT, WITHOUT ROWID;

CREATE INDEX seat_pool_by_end ON seat_pool (window_end_us);

-- Version up to which seats that were given back may have been forgotten: who has heard of less starts over.
ALTER TABLE meta ADD COLUMN seats_forgotten_version INTEGER NOT NULL DEFAULT 0;
