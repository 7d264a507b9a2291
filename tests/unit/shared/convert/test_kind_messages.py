"""What is said of credits, seats and levels comes out of messages as it went in."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.bounds import CREDIT_GRANTS_MAX
from sidecar.domain.catalog.model import Catalog, Feature, FeatureKind
from sidecar.domain.catalog.rules import problems
from sidecar.domain.company.credit_grants import in_burn_order
from sidecar.domain.company.model import CompanyGrant, CompanySnapshot
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.errors import InvalidInput
from sidecar.shared.convert.catalog import catalog_from_message, catalog_to_message
from sidecar.shared.convert.snapshot_messages import segmented_to_message, snapshot_to_message
from sidecar.shared.convert.snapshots import snapshot_from_message
from tests.unit.shared.convert import kind_strategies

ONE: Final = CompanyGrant("money", CreditGrant("welcome", 5, 0, GrantKind.PROMOTIONAL, 0))


@given(kind_strategies.catalogs())
@settings(deadline=None)
def test_every_catalog_survives_the_wire(value: Catalog) -> None:
    assert [] == list(problems(value))
    data = catalog_to_message(value).SerializeToString()
    assert value == catalog_from_message(catalog_pb2.Catalog.FromString(data), "")


@given(
    st.sets(st.sampled_from("abcdefgh")).flatmap(
        lambda names: st.tuples(*map(kind_strategies.company_grants, sorted(names)))
    )
)
@settings(deadline=None)
def test_grants_of_a_company_survive_the_wire(
    held: tuple[CompanyGrant, ...],
) -> None:
    snapshot = CompanySnapshot("acme", 3, credit_grants=in_burn_order(held))
    for message in (snapshot_to_message(snapshot), segmented_to_message(snapshot, 1 << 20)):
        assert snapshot == snapshot_from_message(message, "")
        message.credit_grants.reverse()
        assert snapshot == snapshot_from_message(message, "")


def _grant(**fields: object) -> catalog_pb2.CreditGrant:
    message = snapshot_to_message(CompanySnapshot("acme", 3, credit_grants=(ONE,)))
    (grant,) = message.credit_grants
    for name, value in fields.items():
        if value is None:
            grant.ClearField(name)  # type: ignore[arg-type]  # a name of the message's
        else:
            setattr(grant, name, value)
    return grant


@pytest.mark.parametrize(
    ("grants", "field"),
    [
        ([_grant(feature="")], "snapshot.credit_grants[0].feature"),
        ([_grant(), _grant(id="")], "snapshot.credit_grants[1].id"),
        ([_grant(amount=0)], "snapshot.credit_grants[0].amount"),
        ([_grant(amount=-1)], "snapshot.credit_grants[0].amount"),
        ([_grant(priority=-1)], "snapshot.credit_grants[0].priority"),
        ([_grant(kind=0)], "snapshot.credit_grants[0].kind"),
        ([_grant(kind=9)], "snapshot.credit_grants[0].kind"),
        ([_grant(effective=None)], "snapshot.credit_grants[0].effective"),
        ([_grant(), _grant()], "snapshot.credit_grants[1].id"),
        (
            [_grant(id=str(at)) for at in range(CREDIT_GRANTS_MAX + 1)],
            "snapshot.credit_grants",
        ),
    ],
)
def test_what_no_grant_can_be_is_refused(grants: list[catalog_pb2.CreditGrant], field: str) -> None:
    message = snapshot_to_message(CompanySnapshot("acme", 3))
    message.credit_grants.extend(grants)
    with pytest.raises(InvalidInput) as refused:
        snapshot_from_message(message, "snapshot")
    assert field == refused.value.field


@pytest.mark.parametrize(
    ("cost", "field"),
    [
        (
            catalog_pb2.FeatureCost(credits="money", otherwise=catalog_pb2.Price(micro_credits=-1)),
            "features[0].costs[0].otherwise",
        ),
        (
            catalog_pb2.FeatureCost(
                credits="money", otherwise=catalog_pb2.Price(micro_credits=1, per=-1)
            ),
            "features[0].costs[0].otherwise.per",
        ),
        (catalog_pb2.FeatureCost(credits="money"), "features[0].costs[0]"),
        (
            catalog_pb2.FeatureCost(
                credits="money", by="model", prices=[catalog_pb2.ValuePrice(value="a")] * 2
            ),
            "features[0].costs[0].prices[1].value",
        ),
    ],
)
def test_what_no_price_can_be_is_refused(cost: catalog_pb2.FeatureCost, field: str) -> None:
    message = catalog_to_message(Catalog((Feature("tokens", FeatureKind.METERED),)))
    message.features[0].costs.append(cost)
    with pytest.raises(InvalidInput) as refused:
        catalog_from_message(message, "")
    assert field == refused.value.field
