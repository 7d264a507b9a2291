-- By how much what is in use of a LEVEL feature has changed, by the time of the events: what bills are made of. Duplicates
-- are left out. level_day: the same by days of UTC, counted from the Unix epoch, so that what was in use at an instant is a sum
-- over days.
CREATE TABLE level_change (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (company, feature, at_us)
) STRICT, WITHOUT ROWID;

CREATE TABLE level_day (
    company TEXT NOT NULL,
    feature TEXT NOT NULL,
    day INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (company, feature, day)
) STRICT, WITHOUT ROWID;
