"""The catalog file: what is sold and to whom, as people write it. YAML in, domain values out."""
