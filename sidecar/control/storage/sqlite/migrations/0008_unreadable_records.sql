-- Records that cannot be read, as the sidecar chained over them: booked as such, so that they are in
-- nobody's way. They are on no counter and in no sum.
CREATE TABLE unreadable_record (
    incarnation BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    received_us INTEGER NOT NULL,
    problem TEXT NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (incarnation, sequence)
) STRICT, WITHOUT ROWID;
