-- What was in force stays: segments of the timeline, JSON of the domain's values, which a tombstone
-- keeps too, and when the company last changed. NULL in rows of before: their timeline is compiled
-- from the document.
ALTER TABLE company ADD COLUMN timeline BLOB;

ALTER TABLE company ADD COLUMN changed_us INTEGER;
