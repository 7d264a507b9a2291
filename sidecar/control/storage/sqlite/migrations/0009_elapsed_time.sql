-- What had elapsed, whatever clocks said (see SureTime): first_use.received_us is of that from now on.
-- NULL of a version before, which aged keys by what had passed for certain.
ALTER TABLE known_time ADD COLUMN elapsed_us INTEGER;
