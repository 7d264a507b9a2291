-- Leases that were asked about after their window's end: what is outstanding of them counts in later windows.
CREATE INDEX lease_late ON lease (company, feature, asked_us) WHERE asked_us >= window_end_us;
