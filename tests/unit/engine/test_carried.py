"""What rolls over on a sidecar: as the plane told, or as it works out itself until it hears.

The limit is 100 a day; what is left carries over for 2 days. Today is 15 March 2026.
"""

from __future__ import annotations

import msgspec
import pytest

from sidecar.directory.resolved import ResolvedCompany
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.rollover_links import Link
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit
from sidecar.storage.codec import StoredCounter
from sidecar.storage.sweep import Sweep
from tests.support.build import (
    NOW_US,
    SOFT,
    catalog,
    company,
    counter_ref,
    metered,
)
from tests.support.inside import Inside
from tests.support.rolling import (
    CONTENT,
    ROLLING,
    TOMORROW_US,
    carried,
    rolling,
    tell,
    told,
    use,
)


def stored(sidecar: Inside) -> StoredCounter | None:
    """Today's counter."""
    return sidecar.opened.counter(counter_ref(ROLLING, at_us=sidecar.now_us))


def test_what_the_plane_told_may_be_used_beyond_the_amount() -> None:
    sidecar = told(30, 5)
    assert [True, False] == [sidecar.allows(135), sidecar.allows(136)]
    status = sidecar.decide(40).decision.binding_limit
    assert (100, 35, 40, 95, 0) == (
        status.amount,
        status.carried,
        status.used,
        status.remaining,
        status.overage,
    )


def test_what_was_told_stays_with_the_counter_when_it_is_counted_on() -> None:
    sidecar = told(30, 5)
    sidecar.decide(40)
    sidecar.reopen()
    known = stored(sidecar)
    assert known is not None
    assert ((30, 5), 40) == (known.carried, known.used)


def test_thresholds_are_parts_of_what_may_be_used() -> None:
    sidecar = told(100)
    warned = [
        [warning.percent for warning in sidecar.decide(quantity).decision.warnings]
        for quantity in (99, 1, 60, 40)
    ]
    assert [[], [50], [80], [100]] == warned


def test_a_soft_limit_has_overage_behind_what_was_carried() -> None:
    soft = msgspec.structs.replace(ROLLING, enforcement=SOFT)
    sidecar = told(30, content=catalog({"basic": [metered("calls", soft)]}))
    assert 5 == sidecar.decide(135).decision.overage


@pytest.mark.parametrize(
    ("before", "used", "expected"),
    [
        pytest.param((), (60,), 40, id="1 day: what was left"),
        pytest.param((), (0,), 100, id="1 day: all of it"),
        pytest.param((), (100,), 0, id="1 day: nothing"),
        pytest.param(
            (30, 20), (60,), 30 + 100 - 40, id="1 day: the oldest went first, and is gone"
        ),
        pytest.param((), (60, 0), 40 + 100, id="2 days"),
        pytest.param((), (60, 0, 0), 200, id="3 days: the first is too old"),
        pytest.param((), (60, 10, 120), 100 + 10, id="3 days, used in each"),
        pytest.param((), (60, *[0] * 49), 200, id="50 days at rest"),
        pytest.param((), (60, *[0] * 300), 200, id="300 days at rest"),
    ],
)
def test_until_the_plane_is_heard_it_is_worked_out_here(
    before: tuple[int, ...], used: tuple[int, ...], expected: int
) -> None:
    sidecar = told(*before)
    use(sidecar, *used)
    assert expected == carried(sidecar)


def test_what_was_worked_out_is_kept_once_something_is_counted() -> None:
    sidecar = told()
    use(sidecar, 60, 70)
    sidecar.decide(1)
    known = stored(sidecar)
    assert known is not None
    assert (70,) == known.carried


def test_the_sweep_keeps_what_the_chain_goes_on_from() -> None:
    sidecar = told(*[5] * 2)
    use(sidecar, 60, 60, *[0] * 100)
    sweep = Sweep(sidecar.opened.store)
    assert (1, True) == sweep.step(sidecar.now_us, 1000)
    assert 200 == carried(sidecar)
    assert sidecar.decide(150).decision.allowed
    assert (1, True) == sweep.step(sidecar.now_us, 1000)
    sidecar.now_us += DAY_US
    assert 100 + 50 == carried(sidecar)


@pytest.mark.parametrize("most", [1, 2, 3, 1000])
def test_the_sweep_keeps_the_newest_counter_of_a_chain_alone(most: int) -> None:
    sidecar = told()
    sidecar.apply(CONTENT, company("acme2"))
    use(sidecar, 1, 2, 3)
    sidecar.decide(1, company="acme2")
    sweep, rounds = Sweep(sidecar.opened.store), 0
    while rounds < 2:
        rounds += sweep.step(sidecar.now_us + 100 * DAY_US, most)[1]
    left = [
        sidecar.opened.used(counter_ref(ROLLING, at_us=NOW_US + day * DAY_US)) for day in range(4)
    ]
    assert [0, 0, 3, 0] == left
    while rounds < 4:
        rounds += sweep.step(sidecar.now_us + 3_700 * DAY_US, most)[1]
    assert 0 == sidecar.opened.used(counter_ref(ROLLING, at_us=NOW_US + 2 * DAY_US))


def test_the_plane_has_the_last_word() -> None:
    sidecar = told()
    use(sidecar, 60)
    sidecar.decide(1)
    assert 40 == carried(sidecar)
    tell(sidecar, (15,), 1, sidecar.now_us)
    assert 15 == carried(sidecar)
    sidecar.decide(1)
    assert 15 == carried(sidecar)
    use(sidecar, 100)
    assert 13 == carried(sidecar)


def test_what_the_plane_tells_before_a_window_opens_holds_from_its_first_microsecond() -> None:
    sidecar = told()
    use(sidecar, 60)
    sidecar.now_us = TOMORROW_US - 1
    tell(sidecar, (7, 3), at_us=TOMORROW_US)
    assert [0, 10] == [carried(sidecar), _at(sidecar, TOMORROW_US)]


def _at(sidecar: Inside, now_us: int) -> int:
    sidecar.now_us = now_us
    return carried(sidecar)


def test_where_the_chain_begins_is_for_the_plane_to_say() -> None:
    sidecar = Inside(CONTENT, company())
    use(sidecar, 60)
    sidecar.decide(1)
    assert 0 == carried(sidecar)
    known = stored(sidecar)
    assert known is not None
    assert known.carried is None
    tell(sidecar, (25,), 1, sidecar.now_us)
    assert 25 == carried(sidecar)


def test_that_nobody_can_tell_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Going back over the windows for every call would take longer than the call."""
    sidecar = Inside(CONTENT, company())
    looked = 0
    look = ResolvedCompany.link_before

    def counted(
        resolved: ResolvedCompany, feature: str, slot: str, spec: WindowSpec, window: Window
    ) -> Link | None:
        nonlocal looked
        looked += 1
        return look(resolved, feature, slot, spec, window)

    monkeypatch.setattr(ResolvedCompany, "link_before", counted)
    sidecar.decide(1)
    once = looked
    assert once > 0
    for _ in range(5):
        sidecar.decide(1)
    assert once == looked
    sidecar.now_us += DAY_US
    sidecar.decide(1)
    assert 2 * once == looked


def test_alone_the_chain_begins_with_the_first_window_that_is_used() -> None:
    sidecar = Inside(CONTENT, company(), authority=True)
    assert 0 == carried(sidecar)
    use(sidecar, 0)
    assert 0 == carried(sidecar)
    use(sidecar, 60)
    assert 40 == carried(sidecar)
    use(sidecar, 0, 0)
    assert 200 == carried(sidecar)


def test_late_usage_counts_in_its_own_window_with_what_was_carried_into_it() -> None:
    sidecar = told(30)
    use(sidecar, 10)
    late_us = sidecar.now_us - DAY_US
    assert sidecar.decide(120, at_us=late_us).decision.allowed
    assert not sidecar.decide(1, at_us=late_us).decision.allowed


@pytest.mark.parametrize(
    ("used", "late", "expected"),
    [
        pytest.param((1, 1), 99, 0, id="of the day before: nothing is left of it"),
        pytest.param((1, 0, 1), 99, 100, id="2 days ago: what the idle day left"),
        pytest.param(
            (90, 50, 60), 10, 50, id="2 days ago: what was used since is of the day after"
        ),
        pytest.param(
            (1, 1, 1, 1), 99, 99 + 99, id="3 days ago: what was used since is of younger days"
        ),
    ],
)
def test_late_usage_is_taken_from_what_the_days_since_then_carry(
    used: tuple[int, ...], late: int, expected: int
) -> None:
    sidecar = Inside(CONTENT, company(), authority=True)
    first_us = sidecar.now_us
    use(sidecar, *used)
    sidecar.now_us -= DAY_US
    assert sidecar.decide(late, at_us=first_us).decision.allowed
    assert expected == carried(sidecar)


def test_late_usage_leaves_what_the_plane_says_is_less() -> None:
    sidecar = told()
    use(sidecar, 10)
    tell(sidecar, (15,), 0, sidecar.now_us)
    assert sidecar.decide(20, at_us=sidecar.now_us - DAY_US).decision.allowed
    assert 15 == carried(sidecar)


def test_the_first_window_of_all_time_has_nothing_before_it() -> None:
    millennium = WindowSpec(WindowUnit.YEAR, 1000, Alignment.CALENDAR)
    content = catalog({"basic": [metered("calls", rolling(window=millennium))]})
    sidecar = Inside(content, company())
    ref = counter_ref(rolling(window=millennium))
    assert sidecar.allows(100)
    told_of = CounterTotal("acme", "calls", ref, 0, 0, 1, (5,))
    sidecar.opened.counters.hear("life-1", [told_of])
    assert [True, False] == [sidecar.allows(105), sidecar.allows(106)]


def test_more_than_the_greatest_quantity_is_not_carried() -> None:
    content = catalog({"basic": [metered("calls", rolling(INT64_MAX))]})
    sidecar = told(INT64_MAX, content=content)
    status = sidecar.decide(5).decision.binding_limit
    assert (0, INT64_MAX - 5) == (status.carried, status.remaining)
    sidecar = told(
        INT64_MAX, content=catalog({"basic": [metered("calls", rolling(INT64_MAX - 7))]})
    )
    status = sidecar.decide(5).decision.binding_limit
    assert (7, INT64_MAX - 5) == (status.carried, status.remaining)
