"""`tallyd level`."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import FakeServer, tallyd

DAY_US: Final = 1_769_904_000_000_000
ALL: Final = pb.LimitStatus(limit="all", amount=100, used=40, remaining=60)
JOB: Final = pb.LevelItem(
    item="job-17", level=3, expires=timestamp(DAY_US), dimensions={"user": "ann"}
)
BASIS: Final = pb.Basis(mode=pb.BASIS_MODE_LOCAL, snapshot_version=7)


def decision(*, allowed: bool = True) -> pb.Decision:
    reason = pb.REASON_ALLOWED if allowed else pb.REASON_LIMIT_EXCEEDED
    return pb.Decision(allowed=allowed, reason=reason, binding_limit=ALL, basis=BASIS)


def asked(fake: FakeServer) -> Any:
    [request] = fake.requests
    return request


def run(fake: FakeServer, *args: str) -> Any:
    to = "--control" if args[0] == "bill" else "--sidecar"
    return tallyd("level", *args, to, fake.address)


def test_what_is_in_use_is_shown_with_its_items(fake: FakeServer) -> None:
    fake.answers["GetLevel"] = pb.GetLevelResponse(limits=[ALL], items=[JOB], basis=BASIS)
    done = run(fake, "show", "acme", "jobs", "--dimension", "user=ann")
    assert ExitCode.OK == done.exit_code
    assert "all" in done.stdout
    assert "job-17" in done.stdout
    assert "user=ann" in done.stdout
    assert {"user": "ann"} == dict(asked(fake).dimensions)


def test_less_is_said_as_it_is_written(fake: FakeServer) -> None:
    fake.answers["AdjustLevel"] = pb.AdjustLevelResponse(decision=decision(), changed=-5, item=JOB)
    done = run(fake, "adjust", "acme", "jobs", "-5", "--item", "job-17", "--ttl", "10m")
    assert ExitCode.OK == done.exit_code
    assert "-5" in done.stdout
    expected = pb.AdjustLevelRequest(
        company="acme",
        feature="jobs",
        amount=-5,
        item="job-17",
        time_to_live=Duration(seconds=600),
    )
    assert expected == asked(fake)


def test_a_denial_ends_with_1(fake: FakeServer) -> None:
    fake.answers["SetLevel"] = pb.SetLevelResponse(decision=decision(allowed=False))
    done = run(fake, "set", "acme", "jobs", "200")
    assert ExitCode.NEGATIVE == done.exit_code
    assert "denied" in done.stdout
    assert 200 == asked(fake).level


def test_a_level_below_nothing_is_refused_before_anybody_is_asked(fake: FakeServer) -> None:
    done = tallyd("level", "set", "--sidecar", fake.address, "--", "acme", "jobs", "-1")
    assert ExitCode.USAGE == done.exit_code


@pytest.mark.parametrize("final", [False, True])
def test_a_bill_tells_peak_and_average(fake: FakeServer, final: bool) -> None:
    fake.answers["GetLevelBill"] = control_pb2.GetLevelBillResponse(
        window_start=timestamp(DAY_US),
        window_end=timestamp(DAY_US + 1),
        until=timestamp(DAY_US + 1),
        measure=catalog_pb2.LEVEL_MEASURE_AVERAGE,
        opening=4,
        peak=9,
        average="5.25",
        is_final=final,
    )
    done = run(fake, "bill", "acme", "jobs", "--at", "2026-02-01")
    assert ExitCode.OK == done.exit_code
    for told in ("5.25", "9", "the average", "final" if final else "as of"):
        assert told in done.stdout
    assert json.loads(run(fake, "bill", "acme", "jobs", "--json").stdout)["peak"] == 9
