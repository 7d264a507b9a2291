"""Checks and reports of quantity 0: they are decided as any other, and count nothing."""

from __future__ import annotations

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.limits.reasons import Reason
from tests.support.build import catalog, company, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import COUNTING, call
from tests.support.sidecar_api import ask

CONTENT = catalog({"basic": [metered("calls", limit("monthly", 3))]})
WAYS = (*COUNTING, "record")


def told(outcome: pb.CheckOutcome) -> tuple[bool, Reason, int]:
    decision = outcome.response.decision
    return decision.allowed, Reason(decision.reason), decision.binding_limit.used


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_written_and_the_usage_is_told(way: str) -> None:
    sidecar = Inside(CONTENT, company())
    sidecar.decide(2)
    before = sidecar.contents()
    (outcome,) = await call(way, sidecar, ask(quantity=0, idempotency_key="k"))
    assert (True, Reason.ALLOWED, 2) == told(outcome)
    assert "" == outcome.response.record_id
    assert before == sidecar.contents()


@pytest.mark.parametrize("way", WAYS)
async def test_a_full_outbox_does_not_deny_it(way: str) -> None:
    sidecar = Inside(CONTENT, company(), outbox_records_max=1)
    sidecar.decide(1)
    (outcome,) = await call(way, sidecar, ask(quantity=0))
    assert (True, Reason.ALLOWED, 1) == told(outcome)
    (question,) = await call("question", sidecar, ask(quantity=0))
    assert (True, Reason.ALLOWED, 1) == told(question)


@pytest.mark.parametrize("way", WAYS)
async def test_its_key_is_free_for_what_counts(way: str) -> None:
    sidecar = Inside(CONTENT, company())
    await call(way, sidecar, ask(quantity=0, idempotency_key="k"))
    (outcome,) = await call(way, sidecar, ask(quantity=2, idempotency_key="k"))
    assert (True, Reason.ALLOWED, 2) == told(outcome)
    assert not outcome.response.replayed
    assert [2] == [record.quantity for record in sidecar.records()]


async def test_under_a_key_that_counted_it_is_another_payload() -> None:
    sidecar = Inside(CONTENT, company())
    await call("check", sidecar, ask(quantity=2, idempotency_key="k"))
    (outcome,) = await call("batch", sidecar, ask(quantity=0, idempotency_key="k"))
    assert "IDEMPOTENCY_CONFLICT" == outcome.error.reason


@pytest.mark.parametrize("known", [True, False])
async def test_a_report_of_nothing_is_not_recorded_of_an_unknown_company_either(
    known: bool,
) -> None:
    sidecar = Inside(CONTENT, *[company("stranger")] * known)
    sidecar.plane.away = True
    (outcome,) = await call("record", sidecar, ask(quantity=0, company="stranger"))
    assert outcome.response.decision.allowed
    assert [] == sidecar.records()
