"""Bounds that every room keeps to. Sizes are bytes of UTF-8, times microseconds."""

from __future__ import annotations

from typing import Final

from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US

INT64_MAX: Final = 2**63 - 1


def saturated(number: int) -> int:
    """The nearest number from -INT64_MAX to INT64_MAX: sums end there, SQL writes both."""
    return max(-INT64_MAX, min(INT64_MAX, number))


BEGINNING_US: Final = 0
"""Stands for "always was": no event of ours is older than the Unix epoch."""
FOREVER_US: Final = INT64_MAX
"""Stands for "no end is known"."""

IDENTIFIER_BYTES_MAX: Final = 128
DIMENSIONS_MAX: Final = 16
DIMENSION_KEY_BYTES_MAX: Final = 64
DIMENSION_VALUE_BYTES_MAX: Final = 256
DIMENSION_VALUES_MAX: Final = 256
"""Most values that a dimension declares."""
MATCH_VALUES_MAX: Final = 30
"""Most fixed values of a scope: they stand in its counters' names."""
METADATA_BYTES_MAX: Final = 4096
NAME_BYTES_MAX: Final = 256
UNIT_BYTES_MAX: Final = 64
CONFIG_VALUE_BYTES_MAX: Final = 4096
LIMITS_MAX: Final = 32
"""Most limits of an entitlement, and most rates."""
BURNS_MAX: Final = 4_200
"""Most parts of what usage costs: of four balances one for each of their sources, which are 1,000
grants, the limits, and the overdraft at the most."""
RATE_PERIOD_US_MIN: Final = 1_000
RATE_PERIOD_US_MAX: Final = 31 * DAY_US
RATE_PRODUCT_MAX: Final = 2**62
"""Most that a rate's burst, or count, times its period in microseconds may be."""
ROLLOVER_WINDOWS_MAX: Final = 36
ROLLOVER_PERCENT_MAX: Final = 1000
STALE_AFTER_US_MIN: Final = 10 * SECOND_US
"""Above the plane's heartbeat of 5 s, which would look like silence otherwise."""
STALE_AFTER_US_MAX: Final = 365 * DAY_US
VALUE_AMOUNTS_MAX: Final = 256
"""Most values of a limit's dimension that have an amount of their own."""
WARNING_PERCENTS_MAX: Final = 16
LOW_BALANCES_MAX: Final = 8
"""Most thresholds of a balance below which it is low."""
WARNING_PERCENT_MAX: Final = 1000
OVERRIDES_MAX: Final = 1000
COMPANY_NAMES_MAX: Final = 20
"""Ids that a company was renamed to, all of which it keeps."""
FEATURES_MAX: Final = 10_000
PLANS_MAX: Final = 10_000
ADD_ONS_MAX: Final = 10_000
PLAN_VERSIONS_MAX: Final = 20
"""Most earlier versions of a plan that companies still have."""
PLAN_VERSION_NEWEST: Final = 2**31 - 1
"""Stands for "whichever version there is"."""
ADD_ON_PLANS_MAX: Final = 1_000
"""Most plans that an add-on names to be sold with."""
COMPANY_ADD_ONS_MAX: Final = 100
ADD_ON_QUANTITY_MAX: Final = 1_000_000
ADD_ON_RANK_MAX: Final = 1_000_000
CHANGES_MAX: Final = 100
"""Most changes of a subscription that are planned."""
CUTS_MAX: Final = 900
"""Most instants at which something of a company is known to change."""
COMPANY_PARTS_MAX: Final = 2_500
"""Most overrides and add-ons of a company, now and planned."""
COMPANY_BYTES_MAX: Final = 512 << 10
"""Most that a company takes with all that it holds, encoded as sidecars store values."""
CREDIT_GRANTS_MAX: Final = 1_000
"""Most one-off grants of credits that a company has at a time."""
COMPANIES_APPLIED_MAX: Final = 100_000
"""Most companies that are applied at once."""
CATALOG_PARTS_MAX: Final = 250_000
"""Most entitlements, limits, rates and prices of all features, plans and add-ons together."""
SOLD_PARTS_MAX: Final = 2_000_000
"""Most plans of all add-ons that name them, each times what its add-on grants."""
TERM_US_MIN: Final = SECOND_US
"""Shortest trial or grace of a plan."""
TERM_US_MAX: Final = 3_660 * DAY_US
BATCH_MAX: Final = 1000

LEVEL_TTL_US_MIN: Final = SECOND_US
LEVEL_TTL_US_MAX: Final = 366 * DAY_US
"""Longest time to live of what is in use of a level."""
LEVEL_ITEMS_MAX: Final = 1_000
"""Most items of a level in one answer."""

EVENT_PAST_US_MAX: Final = 35 * DAY_US
EVENT_FUTURE_US_MAX: Final = 5 * MINUTE_US
IDEMPOTENCY_US_MIN: Final = 24 * HOUR_US
"""How long a sidecar keeps an idempotency entry at the least."""
