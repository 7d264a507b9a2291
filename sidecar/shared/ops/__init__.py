"""Operations: health, probes over HTTP, metrics and logs. Knows nothing of storage or sync."""
