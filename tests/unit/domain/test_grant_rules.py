"""What of limits, rates and rollover is refused, and where."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.grant_rules import grant_problems
from sidecar.domain.catalog.model import (
    Across,
    Enforcement,
    EntitlementGrant,
    Limit,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.domain.validation import Path

LIMIT = Limit("daily", WindowSpec(WindowUnit.DAY), 10)
RATE = Rate(10, 1_000_000, 20)


def _paths(limits: Sequence[Limit], rates: Sequence[RateLimit] = ()) -> list[Path]:
    grant = EntitlementGrant("tokens", limits=tuple(limits), rates=tuple(rates))
    return [problem.path for problem in grant_problems(grant)]


LIMITS: dict[str, tuple[dict[str, object], Sequence[str | int]]] = {
    "a negative amount": ({"amount": -1}, ["amount"]),
    "an amount beyond int64": ({"amount": INT64_MAX + 1}, ["amount"]),
    "a weekday without a week": (
        {"window": WindowSpec(WindowUnit.DAY, first_weekday=1)},
        ["window", "first_weekday"],
    ),
    "a weekday of an anchored week": (
        {"window": WindowSpec(WindowUnit.WEEK, 1, Alignment.ANCHORED, 1)},
        ["window", "first_weekday"],
    ),
    "no percents": ({"warning_percents": ()}, ["warning_percents"]),
    "a percent of 0": ({"warning_percents": (0, 5)}, ["warning_percents", 0]),
    "a percent above 1000": ({"warning_percents": (5, 1001)}, ["warning_percents", 1]),
    "percents that stay": ({"warning_percents": (5, 5)}, ["warning_percents", 1]),
    "too many percents": (
        {"warning_percents": tuple(range(1, 18))},
        ["warning_percents"],
    ),
    "THROTTLE without a rate": ({"enforcement": Enforcement.THROTTLE}, ["throttle"]),
    "THROTTLE without an amount": (
        {"enforcement": Enforcement.THROTTLE, "throttle": RATE, "amount": None},
        ["amount"],
    ),
    "a throttle without THROTTLE": ({"throttle": RATE}, ["throttle"]),
    "a broken throttle": (
        {"enforcement": Enforcement.THROTTLE, "throttle": Rate(0, 1_000, 1)},
        ["throttle", "count"],
    ),
    **{
        f"{enforcement.name} that is said to hold across sidecars": (
            {"enforcement": enforcement, "across": Across.EVENTUAL},
            ["across"],
        )
        for enforcement in (Enforcement.SOFT, Enforcement.SHADOW)
    },
    "a request that is said to hold across sidecars": (
        {"window": WindowSpec(WindowUnit.REQUEST), "across": Across.EVENTUAL},
        ["across"],
    ),
    "a rollover of no windows": ({"rollover": Rollover(0)}, ["rollover", "windows"]),
    "a rollover of too many windows": ({"rollover": Rollover(37)}, ["rollover", "windows"]),
    "a rollover of less than nothing": (
        {"rollover": Rollover(amount_max=-1)},
        ["rollover", "max_amount"],
    ),
    "a rollover of more than int64": (
        {"rollover": Rollover(amount_max=INT64_MAX + 1)},
        ["rollover", "max_amount"],
    ),
    "a rollover of negative percent": (
        {"rollover": Rollover(percent_max=-1)},
        ["rollover", "max_percent"],
    ),
    "a rollover of too many percent": (
        {"rollover": Rollover(percent_max=1_001)},
        ["rollover", "max_percent"],
    ),
    "a rollover of what is unlimited": ({"amount": None, "rollover": Rollover()}, ["rollover"]),
    "a rollover per user": (
        {"scope": Scope(("user",)), "rollover": Rollover()},
        ["rollover"],
    ),
    "a rollover of a lifetime": (
        {"window": WindowSpec(WindowUnit.LIFETIME), "rollover": Rollover()},
        ["rollover"],
    ),
    "a dimension without a name": ({"scope": Scope(("",))}, ["scope", "dimensions", 0]),
    "a dimension too long": ({"scope": Scope(("x" * 65,))}, ["scope", "dimensions", 0]),
    "a dimension twice": ({"scope": Scope(("a", "a"))}, ["scope", "dimensions", 1]),
    "a fixed value too long": (
        {"scope": Scope((), (("a", "x" * 257),))},
        ["scope", "match", "a"],
    ),
    "a value fixed twice": (
        {"scope": Scope((), (("a", "1"), ("a", "1")))},
        ["scope", "match", "a"],
    ),
    "a dimension that is fixed": (
        {"scope": Scope(("a",), (("a", "1"),))},
        ["scope", "match", "a"],
    ),
}


@pytest.mark.parametrize(("changes", "path"), LIMITS.values(), ids=LIMITS)
def test_a_problem_of_a_limit(changes: dict[str, object], path: Sequence[str | int]) -> None:
    assert [("limits", 1, *path)] == _paths([replace(LIMIT, id="first"), replace(LIMIT, **changes)])


BOUND_LIMITS = {
    "a rollover at its bounds": {"rollover": Rollover(36, INT64_MAX, 1_000)},
    "a rollover of nothing": {"rollover": Rollover(1, 0, 0)},
    "a rollover of what matches": {
        "scope": Scope(match=(("model", "large"),)),
        "rollover": Rollover(),
    },
    "a throttle": {"enforcement": Enforcement.THROTTLE, "throttle": RATE},
}


@pytest.mark.parametrize("changes", BOUND_LIMITS.values(), ids=BOUND_LIMITS)
def test_no_problem_of_a_limit(changes: dict[str, object]) -> None:
    assert [] == _paths([replace(LIMIT, **changes)])


def _rate_paths(*rates: RateLimit) -> list[Path]:
    """Problems of rates that are granted beside a limit."""
    return _paths([LIMIT], rates)


RATES: dict[str, tuple[RateLimit, Path]] = {
    "no id": (RateLimit("", RATE), ("id",)),
    "the id of a limit": (RateLimit("daily", RATE), ("id",)),
    "a count of 0": (RateLimit("r", Rate(0, 1_000, 1)), ("rate", "count")),
    "a burst of 0": (RateLimit("r", Rate(1, 1_000, 0)), ("rate", "burst")),
    "a period below a millisecond": (RateLimit("r", Rate(1, 999, 1)), ("rate", "period")),
    "a period of more than 31 days": (
        RateLimit("r", Rate(1, 31 * DAY_US + 1, 1)),
        ("rate", "period"),
    ),
    "a count beyond what a period allows": (
        RateLimit("r", Rate(2**42 + 1, 2**20, 1)),
        ("rate", "count"),
    ),
    "a burst beyond what a period allows": (
        RateLimit("r", Rate(1, 2**20, 2**42 + 1)),
        ("rate", "burst"),
    ),
    "SOFT": (RateLimit("r", RATE, Enforcement.SOFT), ("enforcement",)),
    "THROTTLE": (RateLimit("r", RATE, Enforcement.THROTTLE), ("enforcement",)),
    "a dimension without a name": (
        RateLimit("r", RATE, scope=Scope(("",))),
        ("scope", "dimensions", 0),
    ),
}


@pytest.mark.parametrize(("rate", "path"), RATES.values(), ids=RATES)
def test_a_problem_of_a_rate(rate: RateLimit, path: Path) -> None:
    assert [("rates", 1, *path)] == _rate_paths(RateLimit("first", RATE), rate)


def test_no_problem_of_rates_at_their_bounds() -> None:
    longest = Rate(1, 31 * DAY_US, 1)
    fastest = Rate(2**42, 2**20, 2**42)
    assert [] == _rate_paths(
        RateLimit("a", longest, Enforcement.SHADOW), RateLimit("b", fastest, scope=Scope(("a",)))
    )


def test_a_rate_twice_is_a_problem() -> None:
    assert [("rates", 1, "id")] == _rate_paths(RateLimit("r", RATE), RateLimit("r", RATE))


def test_too_many_rates_are_a_problem() -> None:
    assert [("rates",)] == _rate_paths(*(RateLimit(str(at), RATE) for at in range(33)))
