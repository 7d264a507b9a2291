-- Which slots of a company's feature have leases, and in which windows: those of other counters that a limit had count, too.
CREATE INDEX lease_by_slot
    ON lease (company, feature, slot, window_end_us, window_start_us, dimension_values);
