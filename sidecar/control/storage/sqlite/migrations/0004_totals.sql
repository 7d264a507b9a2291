-- Totals as they change, over all companies and of one: sidecars go through them by version. A counter that changes moves
-- behind every position, so that none is missed.
CREATE INDEX counter_by_version
    ON counter (version, company, feature, window_end_us, window_start_us, slot, dimension_values);

CREATE INDEX counter_by_company_version
    ON counter (company, version, feature, window_end_us, window_start_us, slot, dimension_values);
