"""Bounds that every room keeps to. Sizes are bytes of UTF-8, times microseconds."""

from __future__ import annotations

from typing import Final

INT64_MAX: Final = 2**63 - 1

BEGINNING_US: Final = 0
"""Stands for "always was": no event of ours is older than the Unix epoch."""
FOREVER_US: Final = INT64_MAX
"""Stands for "no end is known"."""

IDENTIFIER_BYTES_MAX: Final = 128
DIMENSIONS_MAX: Final = 16
DIMENSION_KEY_BYTES_MAX: Final = 64
DIMENSION_VALUE_BYTES_MAX: Final = 256
METADATA_BYTES_MAX: Final = 4096
NAME_BYTES_MAX: Final = 256
UNIT_BYTES_MAX: Final = 64
CONFIG_VALUE_BYTES_MAX: Final = 4096
LIMITS_MAX: Final = 32
WARNING_PERCENTS_MAX: Final = 16
WARNING_PERCENT_MAX: Final = 1000
OVERRIDES_MAX: Final = 1000
FEATURES_MAX: Final = 10_000
PLANS_MAX: Final = 10_000
BATCH_MAX: Final = 1000

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

EVENT_PAST_US_MAX: Final = 35 * DAY_US
EVENT_FUTURE_US_MAX: Final = 5 * MINUTE_US
IDEMPOTENCY_US_MIN: Final = 24 * HOUR_US
"""How long a sidecar keeps an idempotency entry at the least."""
