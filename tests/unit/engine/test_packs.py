"""Packs on a sidecar alone: what is bought once lasts until it is used.

The limit is 100 a day, and a pack gives 50 once. Today is 15 March 2026.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.model import Company, Override, ScheduledChange
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.shared import catalog_file
from sidecar.shared.catalog_file.load import parse_catalog
from sidecar.storage.sweep import Sweep
from tests.support.build import NOW_US, counter_ref, metered
from tests.support.inside import Inside
from tests.support.packs import CONTENT, DAILY, begun, bought, fallen_back, having, limit_usage
from tests.support.rolling import TOMORROW_US

NEXT_US = TOMORROW_US + DAY_US


def use(sidecar: Inside, *quantities: int) -> None:
    """Use so much each day, all of which is allowed, and go on to the next."""
    for quantity in quantities:
        assert not quantity or sidecar.decide(quantity).decision.allowed, quantity
        sidecar.now_us += DAY_US


def with_override(override: EntitlementGrant) -> Company:
    return msgspec.structs.replace(having(1), overrides=(Override(override, TOMORROW_US + 1),))


@pytest.mark.parametrize(
    ("acme", "used", "left"),
    [
        pytest.param(having(1), (), 50, id="unused: all of it"),
        pytest.param(having(1), (100,), 50, id="the window's own is used first"),
        pytest.param(having(1), (130,), 20, id="what is left stays"),
        pytest.param(having(1), (130, 0, 10, 100), 20, id="for as long as it is not used"),
        pytest.param(having(1), (110, 120, 110), 10, id="bit by bit"),
        pytest.param(having(1), (150,), 0, id="used up"),
        pytest.param(having(1), (150, 100, 0), 0, id="used up: it does not come again"),
        pytest.param(having(3), (180, 0, 120), 50, id="of several as of one that is as large"),
        pytest.param(
            having(1, bought(NEXT_US, 2)), (150, 0), 50, id="one more, after the first was used up"
        ),
        pytest.param(having(1, bought(NEXT_US, 2)), (130, 0), 70, id="one more adds"),
        pytest.param(having(2, bought(NEXT_US, 1)), (120, 0), 30, id="one less: the rest shrinks"),
        pytest.param(having(2, bought(NEXT_US, 1)), (180, 0), 0, id="one less: not below nothing"),
        pytest.param(
            having(2, bought(NEXT_US, 1), bought(NEXT_US + DAY_US, 2)),
            (180, 0, 0),
            50,
            id="one less than was used, and bought again: all of that one",
        ),
        pytest.param(
            having(1, bought(TOMORROW_US, 0), bought(NEXT_US, 1)),
            (150, 0),
            50,
            id="dropped, and bought again: all of it",
        ),
        pytest.param(
            having(1, bought(TOMORROW_US + 1, 0), bought(NEXT_US - 1, 1)),
            (150, 0),
            0,
            id="dropped and bought again within a window: as if it had been held",
        ),
        pytest.param(
            having(0, bought(NOW_US + 1, 1)), (100, 0), 50, id="bought within a window: at once"
        ),
        pytest.param(
            having(1, ScheduledChange(NEXT_US, "large")),
            (130, 0),
            20,
            id="another plan whose limit counts the same: goes on",
        ),
        pytest.param(
            having(1, ScheduledChange(TOMORROW_US - 1, "large")),
            (130,),
            40,
            id="a larger amount at a window's end: less of the pack was used",
        ),
        pytest.param(
            having(1, ScheduledChange(TOMORROW_US, "unlimited"), ScheduledChange(NEXT_US, "basic")),
            (130, 5_000),
            20,
            id="unlimited for a while: nothing of it is used",
        ),
        pytest.param(
            having(1, ScheduledChange(TOMORROW_US, "without"), ScheduledChange(NEXT_US, "basic")),
            (130, 0),
            20,
            id="a plan without the limit for a while: what was used stays used",
        ),
        pytest.param(
            having(
                1,
                ScheduledChange(NOW_US + HOUR_US, resets_usage=True),
                ScheduledChange(NOW_US + DAY_US - HOUR_US, resets_usage=True),
            ),
            (130, 0),
            50,
            id="a reset: used before it, there again",
        ),
        pytest.param(
            having(1, ScheduledChange(TOMORROW_US + HOUR_US, resets_usage=True)),
            (130, 0),
            20,
            id="a reset of a later window: what was used before that stays used",
        ),
        pytest.param(
            having(1, plan="rolling"), (130,), 20, id="with rollover: nothing of its own is left"
        ),
        pytest.param(
            having(1, plan="rolling"), (60, 120), 50, id="what was carried is used before the pack"
        ),
        pytest.param(
            having(1, plan="rolling"), (60, 150), 40, id="what was carried, and then the pack"
        ),
        pytest.param(
            with_override(metered("calls")), (130,), 50, id="unlimited by an override for a while"
        ),
        pytest.param(
            having(1, plan="without", add_on="brought"),
            (20, 20),
            10,
            id="brought to a plan that lacks the feature: the pack alone",
        ),
    ],
)
@pytest.mark.parametrize("authority", [True, False])
def test_a_pack_lasts_until_it_is_used(
    acme: Company, used: tuple[int, ...], left: int, *, authority: bool
) -> None:
    sidecar = begun(acme, authority=authority)
    use(sidecar, *used)
    assert left == limit_usage(sidecar).packs_left


@pytest.mark.parametrize("authority", [True, False])
@pytest.mark.parametrize("days", [0, 1, 2, 60])
@pytest.mark.parametrize(("used", "left"), [(90, 50), (130, 20), (150, 0)])
def test_a_plan_that_follows_a_grace_gives_no_pack_again(
    days: int, used: int, left: int, *, authority: bool
) -> None:
    sidecar = begun(having(1), authority=authority)
    assert sidecar.decide(used).decision.allowed
    sidecar.apply(None, fallen_back(1, sidecar.now_us + HOUR_US))
    sidecar.now_us += days * DAY_US + 2 * HOUR_US
    assert not sidecar.decide(1).decision.allowed
    sidecar.apply(None, having(1))
    sidecar.now_us += DAY_US
    assert left == limit_usage(sidecar).packs_left


def test_the_readme_is_right() -> None:
    readme = Path(catalog_file.__file__).with_name("README.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (example,) = (block for block in blocks if "pack_100k:" in block)
    parsed = parse_catalog(example.encode(), "README.md")
    sidecar = Inside(parsed.catalog, *parsed.companies, authority=True)
    assert sidecar.decide(1_050_000, "tokens").decision.allowed
    sidecar.now_us += 20 * DAY_US
    assert [True, False] == [sidecar.allows(each, "tokens") for each in (1_150_000, 1_150_001)]


def test_it_is_used_within_the_window_and_never_passed() -> None:
    sidecar = begun(having(1))
    for quantity, granted, left in (
        (90, 90, 50),
        (30, 30, 30),
        (40, 0, 30),
        (30, 30, 0),
        (1, 0, 0),
    ):
        decision = sidecar.decide(quantity).decision
        assert granted == decision.granted
        assert left == decision.binding_limit.packs_left
    status = sidecar.decide(1).decision.binding_limit
    assert (100, 50, 150, 0) == (status.amount, status.carried, status.used, status.remaining)


def test_a_denial_waits_for_the_next_window_where_that_and_the_pack_hold_it() -> None:
    sidecar = begun(having(1))
    assert sidecar.decide(60).decision.allowed
    waiting, never = sidecar.decide(150).decision, sidecar.decide(151).decision
    assert TOMORROW_US - NOW_US == waiting.retry_after.ToMicroseconds()
    assert not never.HasField("retry_after")


def test_a_usual_add_on_gives_its_amount_in_each_window() -> None:
    sidecar = begun(having(1, add_on="usual"))
    use(sidecar, 150, 150)
    assert (150, 0) == (limit_usage(sidecar).amount, limit_usage(sidecar).packs_left)


@pytest.mark.parametrize("rest", [1, 39, 40, 41, 100, 3_000])
@pytest.mark.parametrize("more", [0, 1])
def test_what_was_used_is_known_after_a_long_rest(rest: int, more: int) -> None:
    sidecar = begun(having(2))
    use(sidecar, 100, 130)
    sidecar.now_us += HOUR_US
    if more:
        sidecar.apply(None, having(3))
    sidecar.now_us += rest * DAY_US
    if more:  # what is over is not in the timeline any more
        sidecar.apply(None, having(3))
    Sweep(sidecar.opened.store).step(sidecar.now_us, 10_000)
    sidecar.reopen()
    assert 70 + more * 50 == limit_usage(sidecar).packs_left


def test_late_usage_takes_from_what_is_left() -> None:
    sidecar = begun(having(2))
    use(sidecar, 90, 110, 10)
    assert sidecar.decide(1).decision.allowed
    late = sidecar.decide(30, mode=GrantMode.RECORD_ONLY, at_us=NOW_US + HOUR_US)
    assert late.decision.allowed
    assert 70 == limit_usage(sidecar).packs_left


def test_the_plane_has_the_last_word() -> None:
    sidecar = begun(having(1), authority=False)
    assert sidecar.decide(120).decision.allowed
    sidecar.now_us += DAY_US
    ref = counter_ref(DAILY, at_us=sidecar.now_us)
    said = CounterTotal("acme", "calls", ref, 0, 0, sidecar.now_us, (), packs_used=45)
    sidecar.opened.counters.hear("life-1", [said])
    assert 5 == limit_usage(sidecar).packs_left
    assert [True, False] == [sidecar.allows(105), sidecar.allows(106)]


def test_an_unknown_past_gives_nothing_of_a_pack() -> None:
    """A chain that began before anybody here looked: the plane is to tell what was used."""
    sidecar = Inside(CONTENT, having(1))
    assert [True, False] == [sidecar.allows(100), sidecar.allows(101)]
