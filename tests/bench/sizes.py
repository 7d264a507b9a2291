"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of a run. Calls, batches and checks are those of one round; warm-up comes before.

    `grown_companies` times `users_large` is the number of counters in the large store, times
    `users_small` in the small one; each has as many idempotency entries, and `snapshots` in both.
    The plane of `changes`, so many of each kind, has that many companies, too; `watches` are those
    beside the sidecars'. `variant_rounds`: of calls in other ways than the usual.
    """

    rounds: int
    variant_rounds: int
    lone_calls: int
    parallel_calls: int
    batches: int
    engine_checks: int
    companies: int
    snapshots: int
    grown_companies: int
    users_small: int
    users_large: int
    starts: int
    footprint_calls: int
    changes: int
    watches: int


FULL: Final = Sizes(
    rounds=7,
    variant_rounds=3,
    lone_calls=2_000,
    parallel_calls=5_000,
    batches=100,
    engine_checks=10_000,
    companies=1_000,
    snapshots=100_000,
    grown_companies=100,
    users_small=10,
    users_large=10_000,
    starts=5,
    footprint_calls=20_000,
    changes=100,
    watches=200,
)
QUICK: Final = Sizes(
    rounds=2,
    variant_rounds=1,
    lone_calls=50,
    parallel_calls=200,
    batches=5,
    engine_checks=200,
    companies=20,
    snapshots=100,
    grown_companies=10,
    users_small=2,
    users_large=50,
    starts=1,
    footprint_calls=200,
    changes=5,
    watches=5,
)
