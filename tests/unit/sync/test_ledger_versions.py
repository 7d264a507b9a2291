"""Versions of totals: none is believed that the plane's ledger cannot have reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.shared.convert.counters import total_to_message
from sidecar.shared.convert.times import timestamp
from sidecar.sync.ledger_versions import SLACK_US, LedgerVersions
from sidecar.sync.plane_answers import (
    fetched_in_slices,
    got_in_slices,
    listed_in_slices,
    pushed_in_slices,
    watch_step_in_slices,
)
from sidecar.sync.told_companies import ToldCompanies
from tests.support.build import NOW_US, total
from tests.support.stores import MONTHLY

LATEST: Final = 9
NONE_TOLD: Final = ToldCompanies((), {}, 0)
NOW: Final = timestamp(NOW_US)

Totals = Sequence[sync_pb2.CounterTotal]
Answer = Callable[[Totals, int, LedgerVersions], Sequence[CounterTotal]]


def listed(totals: Totals, version: int, versions: LedgerVersions) -> Sequence[CounterTotal]:
    answer = sync_pb2.ListTotalsResponse(totals=totals, version=version, plane_time=NOW)
    return whole(listed_in_slices(answer, versions)).totals


def got(totals: Totals, version: int, versions: LedgerVersions) -> Sequence[CounterTotal]:
    answer = sync_pb2.GetTotalsResponse(totals=totals, version=version, plane_time=NOW)
    return whole(got_in_slices(answer, versions))


def fetched(totals: Totals, version: int, versions: LedgerVersions) -> Sequence[CounterTotal]:
    answer = sync_pb2.FetchSnapshotsResponse(totals=totals, totals_version=version, plane_time=NOW)
    return whole(fetched_in_slices(answer, NONE_TOLD, versions)).totals.totals


def pushed(totals: Totals, _: int, versions: LedgerVersions) -> Sequence[CounterTotal]:
    answer = sync_pb2.PushUsageResponse(totals=totals, plane_time=NOW)
    return whole(pushed_in_slices(answer, versions)).totals


def watched(totals: Totals, version: int, versions: LedgerVersions) -> Sequence[CounterTotal]:
    answer = sync_pb2.WatchSnapshotsResponse(
        epoch="e", totals=totals, totals_until_version=version, plane_time=NOW
    )
    return whole(watch_step_in_slices(answer, NONE_TOLD, versions)).totals


def at(*versions: int) -> Totals:
    return [total_to_message(total(MONTHLY, 7, 0, version)) for version in versions]


EVERY: Final = [listed, got, fetched, pushed, watched]


@pytest.mark.parametrize("answer", [listed, got, fetched])
def test_no_total_is_later_than_the_ledger_that_it_is_told_of(answer: Answer) -> None:
    kept = answer(at(LATEST + 1, LATEST, 1 << 62), LATEST, LedgerVersions())
    assert [LATEST] == [found.version for found in kept]


@pytest.mark.parametrize("answer", EVERY)
@pytest.mark.parametrize("said", [0, -1, 1 << 62], ids=["nothing", "less", "what no clock shows"])
def test_where_no_ledger_is_named_none_is_later_than_the_planes_time(
    answer: Answer, said: int
) -> None:
    latest = NOW_US + SLACK_US
    kept = answer(at(latest + 1, latest, 1), said, LedgerVersions())
    assert [latest, 1] == [found.version for found in kept]


@pytest.mark.parametrize("answer", [pushed, watched])
def test_a_ledger_that_ran_ahead_of_the_planes_clock_goes_on(answer: Answer) -> None:
    versions = LedgerVersions()
    ahead = NOW_US + 100 * DAY_US
    assert not answer(at(ahead), 0, versions)
    listed((), ahead, versions)
    assert answer(at(ahead + 1), 0, versions)


def test_a_stream_may_tell_totals_before_it_has_told_all_up_to_them() -> None:
    assert watched(at(LATEST + 1), LATEST, LedgerVersions())


def test_a_plane_that_tells_no_time_is_held_to_the_calendar() -> None:
    answer = sync_pb2.PushUsageResponse(totals=at(END_INSTANT_US + 1, END_INSTANT_US))
    kept = whole(pushed_in_slices(answer, LedgerVersions())).totals
    assert [END_INSTANT_US] == [found.version for found in kept]
