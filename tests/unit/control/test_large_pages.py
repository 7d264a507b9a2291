"""What sidecars and sellers are told comes in messages of a bounded size, however large one is."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import control_answers, sync_answers
from sidecar.control.rules import window_closing
from sidecar.control.rules.window_closing import RollingCatalog
from sidecar.control.services import apply, snapshots
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import EntitlementGrant, Limit, Rollover
from sidecar.domain.company.model import Company, Override
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.rolling_limits import rolling_limits
from sidecar.domain.time.units import HOUR_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.shared.convert.snapshots import snapshot_from_message
from tests.unit.control.support import ALICE, CATALOG, NOW_US, company

NAMES: Final = ("a", "b", "c", "d", "e")
LARGE: Final = "c"


def with_overrides(name: str, count: int) -> Company:
    overrides = tuple(
        Override(EntitlementGrant(f"days {at:03}", config_value="x" * 50), NOW_US + at * HOUR_US)
        for at in range(1, count + 1)
    )
    return msgspec.structs.replace(company(name), overrides=overrides)


@pytest.fixture
def plane(store: PlaneStore) -> PlaneStore:
    """Five companies, one of which is as large as many."""
    features = tuple(f"days {at:03}" for at in range(1, 101))
    sold = msgspec.structs.replace(
        CATALOG,
        features=(
            *CATALOG.features,
            *(msgspec.structs.replace(CATALOG.features[1], key=key) for key in features),
        ),
    )
    held = [with_overrides(name, 100 if name == LARGE else 1) for name in NAMES]
    apply.apply(store, Desired(sold, tuple(held)), NOW_US)
    return store


def told(store: PlaneStore, *, accepts_spans: bool = True) -> list[sync_pb2.WatchSnapshotsResponse]:
    """All messages of a watch from nothing, up to the first that is complete."""
    position = snapshots.start(store, 0, False, NOW_US, accepts_spans=accepts_spans)
    found: list[sync_pb2.WatchSnapshotsResponse] = []
    while not found or not found[-1].complete:
        messages, _, position = sync_answers.watch_page(store, position, ALICE, NOW_US)
        found += messages
    return found


def named(messages: list[sync_pb2.WatchSnapshotsResponse]) -> list[list[str]]:
    return [[found.company for found in message.companies] for message in messages]


def large_of(messages: list[sync_pb2.WatchSnapshotsResponse]) -> catalog_pb2.CompanySnapshot:
    (large,) = [
        found for message in messages for found in message.companies if found.company == LARGE
    ]
    return large


@pytest.mark.parametrize("accepts_spans", [True, False])
@pytest.mark.parametrize(
    ("owner", "name"), [(sync_answers, "WATCH_BYTES"), (snapshots, "PAGE_BYTES")]
)
def test_a_company_that_is_large_is_alone_in_its_message(
    plane: PlaneStore, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, accepts_spans: bool
) -> None:
    assert [list(NAMES)] == [names for names in named(told(plane)) if names]
    monkeypatch.setattr(owner, name, 4_000)
    messages = told(plane, accepts_spans=accepts_spans)
    assert [["a", "b"], [LARGE], ["d", "e"]] == [names for names in named(messages) if names]
    assert [True] == [message.complete for message in messages[-1:]]
    assert not any(message.complete for message in messages[:-1])
    (large,) = [
        found for message in messages for found in message.companies if found.company == LARGE
    ]
    assert compile_snapshot(with_overrides(LARGE, 100), 1) == snapshot_from_message(large, "")
    assert accepts_spans == (not large.segments[0].overrides)


@pytest.mark.parametrize(
    ("owner", "name"), [(sync_answers, "FETCH_BYTES"), (snapshots, "PAGE_BYTES")]
)
def test_a_fetch_says_which_companies_had_no_room(
    plane: PlaneStore, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    monkeypatch.setattr(owner, name, 4_000)
    asked, seen = [*NAMES, "nobody"], list[str]()
    unknown: list[str] = []
    for _ in NAMES:
        request = sync_pb2.FetchSnapshotsRequest(
            incarnation=ALICE, companies=asked, accepts_spans=True
        )
        answer = sync_answers.fetch(plane, request, NOW_US)
        seen += [found.company for found in answer.companies]
        unknown += answer.unknown_companies
        asked = list(answer.left_out_companies)
        if not asked:
            break
    assert (sorted(NAMES), ["nobody"], []) == (sorted(seen), unknown, asked)


def test_what_has_no_room_for_a_sidecar_of_before_is_cut_at_the_far_end(
    plane: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_answers, "SEGMENTED_BYTES_MAX", 100_000)
    messages = told(plane, accepts_spans=False)
    (large,) = [
        found for message in messages for found in message.companies if found.company == LARGE
    ]
    assert 10 < len(large.segments) < 100
    assert large.ByteSize() < 101_000
    assert not large.segments[-1].HasField("until")


def test_companies_are_listed_in_pages_that_have_room(
    plane: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_answers, "LISTED_BYTES", 4_000)
    request = control_pb2.ListCompaniesRequest()
    pages: list[list[str]] = []
    while not pages or request.page_token:
        answer = control_answers.list_companies(plane, request)
        pages.append([found.id for found in answer.companies])
        request.page_token = answer.next_page_token
    assert [["a", "b"], [LARGE], ["d", "e"]] == pages


def test_where_carrying_begins_is_found_feature_by_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other features' overrides, which come and go, make no more work of it."""
    looked_at = 0

    def counted(*arguments: Any) -> Any:
        nonlocal looked_at
        looked_at += 1
        return rolling_limits(*arguments)

    monkeypatch.setattr(window_closing, "rolling_limits", counted)
    monthly = Limit("m", WindowSpec(WindowUnit.MONTH), 5, rollover=Rollover())
    own = Override(EntitlementGrant("tokens", limits=(monthly,)), NOW_US + 500 * HOUR_US)
    large = with_overrides("acme", 400)
    large = msgspec.structs.replace(large, overrides=(*large.overrides, own))
    begun = RollingCatalog(CatalogIndex(CATALOG, 1)).beginnings(compile_snapshot(large, 1), NOW_US)
    assert ["tokens"] == [each.key.feature for each in begun]
    assert 2 == looked_at
