"""What is billed of a level: by the events of the ledger, however late and in whatever order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rules.records import Record, Unreadable, read_records
from sidecar.control.services import apply
from sidecar.control.services.levels import WindowBill, level_bill
from sidecar.control.services.usage import company_usage
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.catalog.kinds import LevelBilling, LevelMeasure
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.errors import InvalidInput, NotFound
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import LIFETIME_WINDOW, WindowSpec, WindowUnit
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    DAY_START_US,
    NOW_US,
    Writer,
    company,
    record,
)

LEVEL: Final = CounterRef("LEVEL||", (), LIFETIME_WINDOW)
BILLED: Final = LevelBilling(LevelMeasure.AVERAGE, WindowSpec(WindowUnit.DAY))
CONTENT: Final = Catalog(
    features=(
        Feature("jobs", FeatureKind.LEVEL, billing=BILLED),
        Feature("tokens", FeatureKind.METERED),
    ),
    plans=(
        Plan(
            "pro",
            entitlements=(
                EntitlementGrant("jobs", limits=(Limit("all", WindowSpec(WindowUnit.LEVEL), 100),)),
            ),
        ),
    ),
)


@pytest.fixture
def plane(store: PlaneStore) -> PlaneStore:
    apply.apply(store, apply.Desired(CONTENT, (company(),)), NOW_US)
    return store


def changed(
    quantity: int, at_us: int, key: str = "", origin: str = "", origin_us: int = 0
) -> bytes:
    """A record of a level that changed."""
    plain = record(quantity, at_us=at_us, feature="jobs", counters=[LEVEL], key=key)
    level = sync_pb2.UsageRecord(
        level=sync_pb2.LevelChange(origin=origin, origin_time_us=origin_us)
    )
    return plain + level.SerializeToString()


def ended(quantity: int, at_us: int, key: str = "") -> bytes:
    """A record of an item that is over, which Alice's first record put in use."""
    return changed(-quantity, at_us, key, f"{ALICE}-1", NOW_US)


def push(store: PlaneStore, incarnation: str, records: Sequence[bytes]) -> None:
    writer = Writer(incarnation)
    writer.write(*records)
    writer.push(store)


def bill(store: PlaneStore, at_us: int = NOW_US, now_us: int = NOW_US) -> WindowBill:
    return level_bill(store, "acme", "jobs", at_us, now_us)


def used(store: PlaneStore) -> int:
    with store.read() as transaction:
        (total,) = transaction.totals([CounterKey("acme", "jobs", LEVEL)], ALICE)
    return total.total


def test_a_level_is_what_all_have_changed_it_by(plane: PlaneStore) -> None:
    push(plane, ALICE, [changed(5, NOW_US)])
    push(plane, BOB, [changed(-3, NOW_US + 1)])
    assert 2 == used(plane)
    (limit,) = company_usage(plane, "acme", "jobs", NOW_US).limits
    assert ("all", 2) == (limit.limit.id, limit.used)


def test_peak_and_average_are_exact(plane: PlaneStore) -> None:
    push(
        plane,
        ALICE,
        [
            changed(4, DAY_START_US - HOUR_US),
            changed(6, DAY_START_US + HOUR_US),
            changed(-9, DAY_START_US + HOUR_US + 1),
        ],
    )
    found = bill(plane, now_us=DAY_START_US + 3 * HOUR_US)
    unit_us = 4 * HOUR_US + 10 + 2 * HOUR_US - 1
    assert (4, 10, unit_us) == (found.bill.opening, found.bill.peak, found.bill.unit_us)
    assert Fraction(unit_us, 3 * HOUR_US) == found.bill.average
    assert (BILLED, False) == (found.billing, found.is_final)


def test_the_order_in_which_reports_come_makes_no_difference(plane: PlaneStore) -> None:
    chance = random.Random(1)
    instants = [DAY_START_US + chance.randrange(-DAY_US, DAY_US) for _ in range(60)]
    records = [changed(chance.randrange(-3, 6), at_us) for at_us in instants]
    late = DAY_START_US + 40 * DAY_US
    push(plane, ALICE, records[:30])
    push(plane, BOB, records[30:])
    expected = bill(plane, DAY_START_US, late).bill
    other = "elsewhere"
    apply.apply(plane, apply.Desired(CONTENT, (company(), company(other))), NOW_US)
    moved = [bytes(each).replace(b"\x0a\x04acme", b"\x0a\x09elsewhere") for each in records]
    chance.shuffle(moved)
    writer = Writer("00000000-0000-0000-0000-00000000000d")
    writer.write(*moved)
    writer.push(plane)
    assert expected == level_bill(plane, other, "jobs", DAY_START_US, late).bill


def test_a_report_that_is_repeated_elsewhere_is_billed_once(plane: PlaneStore) -> None:
    for incarnation in (ALICE, BOB):
        push(plane, incarnation, [changed(5, NOW_US, key="k")])
    assert (5, 5) == (used(plane), bill(plane, now_us=NOW_US + 1).bill.peak)


def test_what_a_repeated_report_put_in_use_is_taken_back_once(plane: PlaneStore) -> None:
    alice, bob = Writer(ALICE), Writer(BOB)
    for writer in (alice, bob):
        writer.write(changed(5, NOW_US, key="k"))
        writer.push(plane)
    bob.write(
        changed(-2, NOW_US + 1, "", f"{BOB}-1", NOW_US),
        changed(-3, NOW_US + 2, "", f"{BOB}-2", NOW_US + 1),
    )
    bob.push(plane)
    assert 5 == used(plane)
    alice.write(changed(-5, NOW_US + 3, "", f"{ALICE}-1", NOW_US))
    alice.push(plane)
    assert 0 == used(plane)
    assert 5 * 3 == bill(plane, now_us=NOW_US + 9).bill.unit_us


@pytest.mark.parametrize("key", ["", "expired", "mine"])
def test_an_item_on_a_copied_disk_is_taken_back_once_whoever_asks_for_it(
    plane: PlaneStore, key: str
) -> None:
    push(plane, ALICE, [changed(5, NOW_US), changed(2, NOW_US), ended(5, NOW_US + 1, key)])
    push(plane, BOB, [ended(5, NOW_US + 2, "expired")])
    assert 2 == used(plane)
    assert 0 == bill(plane, now_us=NOW_US + 9).bill.opening
    assert 7 + 2 * 8 == bill(plane, now_us=NOW_US + 9).bill.unit_us


def test_what_is_left_of_an_item_is_taken_back_whatever_was_before(plane: PlaneStore) -> None:
    push(plane, ALICE, [changed(5, NOW_US), ended(3, NOW_US + 1)])
    push(plane, BOB, [changed(5, NOW_US), ended(5, NOW_US + 2)])
    assert 2 == used(plane)


@pytest.mark.parametrize("origin", ["-", f"{BOB}-x", f"{BOB}-{2**70}", f"{CAROL}-1", "x-1"])
def test_what_takes_back_nothing_that_is_known_counts(plane: PlaneStore, origin: str) -> None:
    push(plane, ALICE, [changed(5, NOW_US), changed(-2, NOW_US, "", origin, NOW_US)])
    assert 3 == used(plane)


def test_a_late_report_changes_the_bill_of_its_time_until_none_can_come(plane: PlaneStore) -> None:
    push(plane, ALICE, [changed(5, NOW_US)])
    yesterday_us = NOW_US - DAY_US
    assert 0 == bill(plane, yesterday_us).bill.peak
    push(plane, BOB, [changed(2, yesterday_us)])
    assert (2, 7) == (bill(plane, yesterday_us).bill.peak, bill(plane, now_us=NOW_US + 1).bill.peak)
    over_us = DAY_START_US + EVENT_PAST_US_MAX
    assert not bill(plane, yesterday_us, over_us - 1).is_final
    assert bill(plane, yesterday_us, over_us).is_final


@pytest.mark.parametrize(
    ("name", "feature", "at_us", "error"),
    [
        ("nobody", "jobs", NOW_US, NotFound),
        ("acme", "job", NOW_US, NotFound),
        ("acme", "tokens", NOW_US, InvalidInput),
        ("acme", "jobs", NOW_US + 2 * DAY_US, InvalidInput),
    ],
)
def test_bad_questions_are_refused(
    plane: PlaneStore, name: str, feature: str, at_us: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        level_bill(plane, name, feature, at_us, NOW_US)


def test_less_is_recorded_of_levels_alone() -> None:
    less, wrong = read_records([changed(-5, NOW_US), record(-5)])
    assert isinstance(less, Record)
    assert (-5, True) == (less.quantity, less.is_level)
    assert isinstance(wrong, Unreadable)


def test_a_change_of_a_level_takes_nothing_off_what_is_used_up(plane: PlaneStore) -> None:
    level = sync_pb2.UsageRecord(level=sync_pb2.LevelChange()).SerializeToString()
    (wrong,) = read_records([record(-5) + level])
    assert isinstance(wrong, Unreadable)
    tokens = EntitlementGrant("tokens", limits=(Limit("ever", WindowSpec(WindowUnit.LIFETIME), 9),))
    sold = Catalog(CONTENT.features, (Plan("pro", entitlements=(tokens,)),))
    apply.apply(plane, apply.Desired(sold, (company(),)), NOW_US)
    push(plane, ALICE, [record(5, unattributed=True), record(-3, unattributed=True) + level])
    (limit,) = company_usage(plane, "acme", "tokens", NOW_US).limits
    assert 5 == limit.used
