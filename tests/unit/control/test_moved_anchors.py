"""What `apply` says of companies whose billing cycle starts anew by it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.company.model import Company
from sidecar.domain.time.units import DAY_US
from sidecar.domain.validation import field_path_text
from tests.unit.control.support import CATALOG, DAY_START_US, NOW_US, company

DIFFERENT_ZONE = replace(company(), time_zone="Asia/Tokyo")


def with_anchor(anchor_us: int | None, held: Company | None = None) -> Company:
    held = held or company()
    assert held.subscription is not None
    return replace(held, subscription=replace(held.subscription, anchor_us=anchor_us))


def warnings_of(store: PlaneStore, *given: Company) -> list[tuple[str, str]]:
    """Paths and messages, which a dry run has as well."""
    first = apply.preview(store, Desired(None, given), NOW_US).warnings
    assert first == apply.apply(store, Desired(None, given), NOW_US).warnings
    return [(field_path_text(each.path), each.message) for each in first]


@pytest.fixture(autouse=True)
def applied(store: PlaneStore) -> None:
    apply.apply(store, Desired(CATALOG, (company("other"), company())), NOW_US - DAY_US)


def test_a_moved_anchor_is_told_with_its_place(store: PlaneStore) -> None:
    moved = with_anchor(DAY_START_US - 40 * DAY_US)
    [(path, message)] = warnings_of(store, company("other"), moved)
    assert "companies[1].subscription.anchor" == path
    assert "the billing cycle of 'acme' starts anew now" in message
    assert "write the instant" not in message


def test_an_anchor_that_moves_with_the_time_zone_is_told_with_the_way_out(
    store: PlaneStore,
) -> None:
    moved = with_anchor(DAY_START_US - DAY_US // 4, DIFFERENT_ZONE)
    [(_, message)] = warnings_of(store, moved)
    assert "write the instant as it was" in message


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(company(), id="nothing changes"),
        pytest.param(with_anchor(None), id="no anchor is said"),
        pytest.param(DIFFERENT_ZONE, id="a zone, with the anchor where it was"),
        pytest.param(company("new"), id="a company that is new"),
        pytest.param(Company("acme"), id="no subscription any more"),
    ],
)
def test_where_the_anchor_stays_nothing_is_told(store: PlaneStore, given: Company) -> None:
    assert [] == warnings_of(store, given)
