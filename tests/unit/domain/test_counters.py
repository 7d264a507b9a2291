"""Which counter a limit counts on."""

from __future__ import annotations

import pytest

from sidecar.domain.catalog import Limit
from sidecar.domain.counters import scope_values, slot_of
from sidecar.domain.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import DAY, LIFETIME, MONTH, SHADOW, SOFT, limit


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


def test_what_a_limit_allows_does_not_change_its_slot() -> None:
    limits = [
        limit("a", 1),
        limit("b", None),
        limit("c", 9, SOFT),
        limit("d", 9, SHADOW, warn=(1,)),
    ]
    assert 1 == len({slot_of(of) for of in limits})


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
    assert expected == scope_values(of, dimensions)
