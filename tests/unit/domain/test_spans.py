"""A timeline names add-ons and overrides once, whatever the number of its segments."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company import spans
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    CompanySnapshot,
    Override,
    Span,
    Subscription,
)
from sidecar.domain.company.spans import SpanBuilder, continued, segments_of, snapshot_of
from sidecar.domain.company.timeline import (
    HISTORY_US,
    compile_snapshot,
    continue_snapshot,
    segment_at,
)
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.build import NOW_US

BOOST: Final = AddOnSubscription("boost", 2)
SEAT: Final = AddOnSubscription("seat")
PAID: Final = Company("acme", subscription=Subscription("basic", NOW_US))


def grant(number: int) -> EntitlementGrant:
    return EntitlementGrant(f"feature {number:04}", config_value="x" * 40)


def with_overrides(count: int) -> Company:
    """A company with so many overrides, each of which ends at a time of its own."""
    overrides = [Override(grant(at), NOW_US + (at + 1) * HOUR_US) for at in range(count)]
    return msgspec.structs.replace(PAID, overrides=tuple(overrides))


def with_boosts(quantity: int) -> Company:
    bought = Subscription("basic", NOW_US, add_ons=(AddOnSubscription("boost", quantity), SEAT))
    return msgspec.structs.replace(PAID, subscription=bought)


def size_of(snapshot: CompanySnapshot) -> int:
    return len(msgspec.msgpack.encode(snapshot))


def test_the_size_grows_with_what_was_bought_and_not_with_its_square() -> None:
    one, all_of_them = (size_of(compile_snapshot(with_overrides(n), 1)) for n in (90, 900))
    assert all_of_them < 11 * one
    assert 901 == len(list(segments_of(compile_snapshot(with_overrides(900), 1))))


def test_a_changed_quantity_adds_one_span_and_repeats_no_other() -> None:
    snapshot = compile_snapshot(with_boosts(1), 1)
    for number in range(2, 302):
        at_us = NOW_US + number * HOUR_US
        snapshot = continue_snapshot(snapshot, with_boosts(number), number, at_us)
    assert (1, 302) == (len(snapshot.phases), len(snapshot.add_ons))
    assert 302 == len(list(segments_of(snapshot))) + 1
    at_us = NOW_US + 100 * HOUR_US
    assert (AddOnSubscription("boost", 100), SEAT) == segment_at(snapshot, at_us).add_ons


def test_what_ended_before_the_history_is_forgotten() -> None:
    snapshot = compile_snapshot(with_boosts(1), 1)
    for number, day in ((2, 1), (3, 2), (4, 30)):
        snapshot = continue_snapshot(snapshot, with_boosts(number), number, NOW_US + day * DAY_US)
    later_us = NOW_US + 2 * DAY_US + HISTORY_US
    forgotten = continue_snapshot(snapshot, with_boosts(5), 5, later_us)
    assert [
        (BEGINNING_US, 3),
        (NOW_US + 30 * DAY_US, 4),
        (later_us, 5),
    ] == [(span.from_us, span.content.quantity) for span in forgotten.add_ons[:-1]]
    assert [Span(SEAT)] == list(forgotten.add_ons[-1:])


@pytest.mark.parametrize(
    ("bound", "most"), [("HISTORY_SPANS_MAX", 10), ("HISTORY_BYTES_MAX", 10 * 60)]
)
def test_of_a_long_history_the_oldest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(spans, bound, most)
    snapshot = compile_snapshot(with_boosts(1), 1)
    for number in range(2, 52):
        at_us = NOW_US + number * HOUR_US
        snapshot = continue_snapshot(snapshot, with_boosts(number), number, at_us)
    quantities = [span.content.quantity for span in snapshot.add_ons if span.content != SEAT]
    assert list(range(51 - len(quantities) + 1, 52)) == quantities
    assert 3 < len(quantities) <= 11


def test_of_what_is_in_force_or_to_come_nothing_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spans, "HISTORY_SPANS_MAX", 0)
    many = with_overrides(50)
    snapshot = continue_snapshot(compile_snapshot(many, 1), many, 2, NOW_US)
    assert 50 == len(snapshot.overrides)


def test_spans_of_lists() -> None:
    builder: SpanBuilder[AddOnSubscription] = SpanBuilder()
    builder.add(BEGINNING_US, (BOOST, SEAT))
    builder.add(5, (SEAT, AddOnSubscription("boost", 3)))
    builder.add(9, (SEAT,))
    assert (
        Span(BOOST, BEGINNING_US, 5),
        Span(AddOnSubscription("boost", 3), 5, 9),
        Span(SEAT),
    ) == builder.spans()


def test_what_goes_on_as_it_was_is_one_span() -> None:
    held, new = (Span(BOOST, 3), Span(SEAT, 4)), (Span(BOOST, 7), Span(SEAT, 9))
    assert (Span(BOOST, 3), Span(SEAT, 4, 7), Span(SEAT, 9)) == continued(held, new, 7, 2)


def test_a_timeline_of_segments_is_the_same_as_one_of_spans() -> None:
    snapshot = continue_snapshot(compile_snapshot(with_overrides(20), 1), PAID, 2, NOW_US + 3)
    assert snapshot == snapshot_of("acme", 2, list(segments_of(snapshot)))


def test_the_stretch_around_an_instant_ends_where_something_changes() -> None:
    snapshot = compile_snapshot(with_overrides(3), 1)
    for hour, ends in ((0, 1), (1, 2), (2, 3)):
        segment = segment_at(snapshot, NOW_US + hour * HOUR_US)
        assert NOW_US + ends * HOUR_US == segment.until_us
        assert tuple(grant(at) for at in range(hour, 3)) == segment.overrides
    last = segment_at(snapshot, NOW_US + 3 * HOUR_US)
    assert (NOW_US + 3 * HOUR_US, FOREVER_US, ()) == (last.from_us, last.until_us, last.overrides)
