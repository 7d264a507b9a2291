"""Conflicts between file and API over real gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.control.storage.port import PlaneStore
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from tests.unit.control.plane import Calls, Refusal, refusal, running
from tests.unit.control.support import CATALOG, company

INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def calls(store: PlaneStore) -> AsyncIterator[Calls]:
    async with running(store) as calls:
        yield calls


def request(*take_over: tuple[str, str], **fields: Any) -> control_pb2.ApplyRequest:
    return control_pb2.ApplyRequest(
        catalog=catalog_to_message(CATALOG),
        companies=[company_to_message(company())],
        take_over=[control_pb2.TakeOver(company=key, field=field) for key, field in take_over],
        **fields,
    )


async def test_a_conflict_is_told_until_it_is_taken_over(calls: Calls) -> None:
    await calls.control.Apply(request())
    cancel = control_pb2.ChangeSubscriptionRequest(
        company="acme", cancel=control_pb2.CancelSubscription()
    )
    cancel.when = control_pb2.CHANGE_TIME_PERIOD_END
    changed = await calls.control.ChangeSubscription(cancel)
    assert 0 == (await calls.control.Apply(request())).conflicted
    past_due = control_pb2.ChangeSubscriptionRequest(
        company="acme", past_due=control_pb2.MarkPastDue()
    )
    await calls.control.ChangeSubscription(past_due)
    given = request()
    given.companies[0].subscription.past_due.since.FromSeconds(1_764_000_000)
    ways: list[dict[str, Any]] = [{"dry_run": True}, {}, {"refuse_conflicts": True}]
    for more in ways:
        told = await calls.control.Apply(
            control_pb2.ApplyRequest(**more, companies=given.companies)
        )
        (conflict,) = told.conflicts
        assert ("acme", "past_due", "ChangeSubscription", control_pb2.OWNER_API) == (
            conflict.company,
            conflict.field,
            conflict.call,
            conflict.owner,
        )
        assert "since 2025-11-24T16:00:00Z" == conflict.given
        assert conflict.in_force.startswith("since 20")
        assert (3, 0, 1) == (told.revision, told.changed, told.conflicted)
        assert told.refused == bool(more.get("refuse_conflicts"))
    taken = await calls.control.Apply(
        control_pb2.ApplyRequest(
            companies=given.companies,
            take_over=[control_pb2.TakeOver(company="acme", field="past_due")],
        )
    )
    assert (4, 0) == (taken.revision, taken.conflicted)
    held = await calls.control.GetCompany(control_pb2.GetCompanyRequest(company="acme"))
    assert given.companies[0].subscription.past_due == held.company.subscription.past_due
    assert changed.company.subscription.cancel_at == held.company.subscription.cancel_at


REFUSED: Final = {
    "a company that is not given": ([("acne", "")], "take_over[0].company"),
    "a field that there is not": ([("", ""), ("acme", "plam")], "take_over[1].field"),
    "a field of no company": ([("", "plan")], "take_over[0].company"),
}


@pytest.mark.parametrize(("take_over", "field"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_taken_over_is_refused_by_name(
    calls: Calls, take_over: list[tuple[str, str]], field: str
) -> None:
    refused = await refusal(calls.control.Apply(request(*take_over)))
    assert Refusal(INVALID, "INVALID_ARGUMENT", {"field": field}) == refused


UNMATCHED: Final = {
    "an add-on": (("acme", "add_ons.moer"), "has no field 'add_ons.moer'; did you mean"),
    "an override": (("acme", "overrides.sso.g1"), "has no field 'overrides.sso.g1'"),
    "all add-ons": (("acme", "add_ons"), "has no field 'add_ons'"),
    "a company": (("acne", ""), "there is no company 'acne'; did you mean 'acme'?"),
}


@pytest.mark.parametrize(("named", "message"), UNMATCHED.values(), ids=UNMATCHED)
async def test_a_take_over_that_names_nothing_is_refused(
    calls: Calls, named: tuple[str, str], message: str
) -> None:
    await calls.control.Apply(request())
    asked = request(named, prune_companies=True)
    asked.catalog.add_ons.add(key="more")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calls.control.Apply(asked)
    assert INVALID == caught.value.code()
    assert message in (caught.value.details() or "")


async def test_a_company_that_would_be_pruned_may_be_named(calls: Calls) -> None:
    created = control_pb2.CreateCompanyRequest(company=company_to_message(company("initech")))
    await calls.control.Apply(request())
    await calls.control.CreateCompany(created)
    assert 1 == (await calls.control.Apply(request(prune_companies=True))).conflicted
    for changed in (1, 0):  # once more does no harm
        told = await calls.control.Apply(request(("initech", ""), prune_companies=True))
        assert (changed, 0) == (told.changed, told.conflicted)
