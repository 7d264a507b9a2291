"""Which counter a limit counts on."""

from __future__ import annotations

import pytest

from sidecar.domain.catalog.model import Enforcement, Limit, Rate, RateLimit, Rollover, Scope
from sidecar.domain.limits.counters import (
    generation_in,
    is_anchored,
    rate_slot_of,
    scope_values,
    slot_of,
    throttle_slot_of,
)
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import ANCHORED_MONTH, DAY, LIFETIME, MONTH, SHADOW, SOFT, limit


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (limit(window=MONTH), "MONTH/1/CALENDAR||"),
        (limit(window=LIFETIME), "LIFETIME||"),
        (limit(window=WindowSpec(WindowUnit.LIFETIME, 3, Alignment.ANCHORED)), "LIFETIME||"),
        (limit(window=WindowSpec(WindowUnit.WEEK, 2, first_weekday=6)), "WEEK/2/CALENDAR/6||"),
        (limit(window=WindowSpec(WindowUnit.YEAR, 1, Alignment.ANCHORED)), "YEAR/1/ANCHORED||"),
        (limit(window=DAY, each=["user"]), "DAY/1/CALENDAR|user|"),
        (
            limit(window=DAY, each=["user", "zone"], match={"model": "large"}),
            "DAY/1/CALENDAR|user,zone|model=large",
        ),
        (
            limit(window=DAY, each=["a,b"], match={"c|d": "50%=x/y"}),
            "DAY/1/CALENDAR|a%2Cb|c%7Cd=50%25%3Dx%2Fy",
        ),
    ],
)
def test_slots_are_written_like_this(of: Limit, expected: str) -> None:
    assert expected == slot_of(of)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (limit(window=MONTH), "MONTH/1/CALENDAR|||7"),
        (limit(window=LIFETIME), "LIFETIME|||7"),
        (
            limit(window=DAY, each=["user"], match={"model": "large"}),
            "DAY/1/CALENDAR|user|model=large|7",
        ),
    ],
)
def test_a_generation_comes_last(of: Limit, expected: str) -> None:
    assert expected == slot_of(of, 7)
    assert (7, 0) == (generation_in(expected), generation_in(slot_of(of)))


@pytest.mark.parametrize(
    "slot",
    [
        "",
        "MONTH/1/CALENDAR||",
        "MONTH/1/CALENDAR|||",
        "MONTH/1/CALENDAR|||x",
        "MONTH/1/CALENDAR|||-7",
        "MONTH/1/CALENDAR|||7|8",
        "MONTH/1/CALENDAR|||" + "9" * 5000,
        "MONTH/1/CALENDAR|||\N{ARABIC-INDIC DIGIT SEVEN}",
    ],
)
def test_a_text_that_names_no_generation(slot: str) -> None:
    assert 0 == generation_in(slot)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (MONTH, False),
        (LIFETIME, False),
        (ANCHORED_MONTH, True),
        (WindowSpec(WindowUnit.WEEK, 2, first_weekday=6), False),
        (WindowSpec(WindowUnit.HOUR, 1, Alignment.ANCHORED), True),
    ],
)
def test_slots_of_anchored_windows_are_told_apart(window: WindowSpec, expected: bool) -> None:
    of = limit(window=window, each=["ANCHORED"], match={"a/b": "ANCHORED"})
    assert [expected] * 2 == [is_anchored(slot_of(of)), is_anchored(slot_of(of, 7))]


def test_what_a_limit_allows_does_not_change_its_slot() -> None:
    slow = Rate(1, 1_000_000, 1)
    limits = [
        limit("a", 1),
        limit("b", None),
        limit("c", 9, SOFT),
        limit("d", 9, SHADOW, warn=(1,)),
        Limit("e", MONTH, 9, Enforcement.THROTTLE, throttle=slow),
        Limit("f", MONTH, 9, rollover=Rollover()),
    ]
    assert 1 == len({slot_of(of) for of in limits})


def test_what_a_rate_measures_is_named_by_period_name_and_scope() -> None:
    scope = Scope(("user",), (("model", "large"),))
    of = RateLimit("a/b", Rate(5, 60_000_000, 9), scope=scope)
    assert "RATE/60000000/a%2Fb|user|model=large" == rate_slot_of(of)
    faster = RateLimit("a/b", Rate(50, 60_000_000, 90), SHADOW, scope)
    assert rate_slot_of(of) == rate_slot_of(faster)


def test_what_the_rate_past_a_limit_measures_is_named_by_period_limit_and_slot() -> None:
    of = Limit("a", MONTH, 9, Enforcement.THROTTLE, throttle=Rate(1, 1_000_000, 1))
    assert "THROTTLE/1000000/a/MONTH/1/CALENDAR||" == throttle_slot_of(of)
    assert "THROTTLE/1000000/a/MONTH/1/CALENDAR|||7" == throttle_slot_of(of, 7)


@pytest.mark.parametrize(
    ("of", "dimensions", "expected"),
    [
        (limit(), {}, ()),
        (limit(), {"user": "ann"}, ()),
        (limit(each=["user"]), {"user": "ann"}, ("ann",)),
        (limit(each=["user"]), {"user": ""}, ("",)),
        (limit(each=["user"]), {"model": "large"}, None),
        (limit(each=["user", "zone"]), {"zone": "eu", "user": "ann"}, ("ann", "eu")),
        (limit(each=["user", "zone"]), {"user": "ann"}, None),
        (limit(match={"model": "large"}), {"model": "large"}, ()),
        (limit(match={"model": "large"}), {"model": "small"}, None),
        (limit(match={"model": "large"}), {}, None),
        (limit(each=["user"], match={"model": "large"}), {"model": "large"}, None),
        (
            limit(each=["user"], match={"model": "large"}),
            {"model": "large", "user": "bob"},
            ("bob",),
        ),
    ],
)
def test_values_of_a_request(
    of: Limit, dimensions: dict[str, str], expected: tuple[str, ...] | None
) -> None:
    assert expected == scope_values(of.scope, dimensions)
