"""A new sidecar counts on no exact limit before its plane has said whether it grants leases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.sync.machine.lease_actions import AskLeases, ReportLeases, Rest
from tests.support.bounded import CONTENT, Bench, bench_of
from tests.support.lease_machine import EPOCH, MachineBench
from tests.support.method_calls import answer_of


async def checked(bench: Bench, seconds: float) -> pb.Decision:
    """Check `tokens`, which has one exact limit."""
    message = pb.CheckAndIncrementRequest(company="acme", feature="tokens", quantity=1)
    handler = bench.container.methods.check_and_increment
    answer = await answer_of(handler, message.SerializeToString(), seconds)
    return pb.CheckAndIncrementResponse.FromString(answer).decision


@pytest.mark.parametrize(
    ("grants", "mode"), [(True, pb.BASIS_MODE_LEASED), (False, pb.BASIS_MODE_LOCAL)]
)
async def test_a_call_waits_for_the_first_greeting_and_goes_by_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, grants: bool, mode: int
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.apply(CONTENT, "acme")
        bench.plane.epoch, bench.plane.grants_leases = EPOCH, grants
        link = bench.container.link
        assert link is not None
        asked = asyncio.create_task(checked(bench, 60.0))
        async with bench.running(link.leasing.run()), bench.running(link.pusher.run()):
            decision = await asked
    assert (True, mode) == (decision.allowed, decision.basis.mode)


async def test_without_any_greeting_it_is_denied(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.apply(CONTENT, "acme")
        decision = await checked(bench, 0.01)
    assert pb.REASON_LEASE_UNAVAILABLE == decision.reason


def test_a_plane_of_which_nothing_is_known_is_asked_once_it_has_greeted() -> None:
    bench = MachineBench(epoch="")
    bench.need(3)
    assert isinstance(bench.next(), Rest)
    bench.machine.greeted(bench.now_us, EPOCH, grants_leases=True)
    assert isinstance(bench.next(), ReportLeases)
    bench.machine.reported(bench.now_us, EPOCH)
    assert isinstance(bench.next(), AskLeases)
