"""`tallyd watch`."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.processes import ROOT, environment, tallyd_command
from tests.unit.cli.fakes import FakeServer, tallyd

SERVICE: Final = "sidecar.api.enforcement.v1.EnforcementService"
NOON: Final = timestamp(1_773_576_000_000_000)


class Watched:
    """Tells what a test puts into `events`; then ends, or waits until the caller goes away."""

    def __init__(self) -> None:
        self.address = ""
        self.events: list[pb.WatchEntitlementsResponse] = []
        self.requests: list[pb.WatchEntitlementsRequest] = []
        self.goes_on = False

    def watch(
        self, request: pb.WatchEntitlementsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchEntitlementsResponse]:
        self.requests.append(request)
        yield from self.events
        ended = threading.Event()
        if self.goes_on and context.add_callback(ended.set):
            ended.wait(HANG_SECONDS_MAX)


@pytest.fixture
def watched() -> Iterator[Watched]:
    found = Watched()
    method = grpc.unary_stream_rpc_method_handler(
        found.watch,
        request_deserializer=pb.WatchEntitlementsRequest.FromString,
        response_serializer=pb.WatchEntitlementsResponse.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler(SERVICE, {"WatchEntitlements": method})
    with ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool, handlers=[handler])
        found.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield found
        finally:
            server.stop(None).wait()


def limit_status(used: int, **fields: Any) -> pb.LimitStatus:
    return pb.LimitStatus(
        limit="monthly",
        enforcement=catalog_pb2.ENFORCEMENT_HARD,
        amount=100,
        used=used,
        remaining=100 - used,
        resets_at=timestamp(1_775_001_600_000_000),
        **fields,
    )


def event(kind: str, feature: str = "calls", **fields: Any) -> pb.WatchEntitlementsResponse:
    return pb.WatchEntitlementsResponse(
        event=pb.EntitlementEvent.Value(f"ENTITLEMENT_EVENT_{kind}"),
        feature=feature,
        at=NOON,
        **fields,
    )


def entitlement(feature: str, **fields: Any) -> pb.Entitlement:
    return pb.Entitlement(
        feature=catalog_pb2.Feature(key=feature), entitled=True, reason=pb.REASON_ALLOWED, **fields
    )


PACE: Final = catalog_pb2.Rate(count=10, period=Duration(seconds=60), burst=20)
SPEED: Final = pb.LimitStatus(
    limit="burst",
    enforcement=catalog_pb2.ENFORCEMENT_HARD,
    amount=20,
    used=3,
    remaining=17,
    resets_at=NOON,
    rate=PACE,
)
BALANCE: Final = pb.CreditBalance(balance=45, available=55)
ACTIVE: Final = catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(
            event(
                "CURRENT",
                entitlement=entitlement("calls"),
                status=ACTIVE,
                plan="basic",
                limits=[limit_status(7), limit_status(3, dimensions={"user": "joe"})],
            ),
            "current    calls  yes, plan basic, active; "
            "monthly (hard): 7 of 100, resets 2026-04-01 00:00; "
            "monthly (hard, user=joe): 3 of 100, resets 2026-04-01 00:00",
            id="the-present-state",
        ),
        pytest.param(
            event(
                "CURRENT",
                "days",
                entitlement=entitlement("days", config_value="30"),
                status=ACTIVE,
                plan="basic",
            ),
            "current    days  yes, 30, plan basic, active",
            id="a-value",
        ),
        pytest.param(
            event(
                "CHANGED",
                entitlement=entitlement("calls"),
                status=ACTIVE,
                plan="pro",
                limits=[limit_status(7)],
            ),
            "changed    calls  yes, plan pro, active; "
            "monthly (hard): 7 of 100, resets 2026-04-01 00:00",
            id="an-upgrade",
        ),
        pytest.param(
            event("LOW_BALANCE", "money", low_balance=50, balance=BALANCE),
            "low        money  at or below 50; balance 45",
            id="a-low-balance",
        ),
        pytest.param(
            event("BALANCE_EXHAUSTED", "money", balance=pb.CreditBalance(balance=-5)),
            "exhausted  money  balance -5",
            id="an-exhausted-balance",
        ),
        pytest.param(
            event("TOPPED_UP", "money", balance=BALANCE),
            "topped up  money  balance 45",
            id="a-balance-that-is-topped-up",
        ),
        pytest.param(
            event("CHANGED", entitlement=pb.Entitlement(reason=pb.REASON_UNKNOWN_COMPANY)),
            "changed    calls  no: UNKNOWN_COMPANY, no plan, none",
            id="a-company-that-is-gone",
        ),
        pytest.param(
            event("THRESHOLD", limits=[limit_status(85)], percent=80),
            "threshold  calls  80 % is reached; monthly (hard): 85 of 100, resets 2026-04-01 00:00",
            id="a-threshold",
        ),
        pytest.param(
            event("EXHAUSTED", limits=[limit_status(100)]),
            "exhausted  calls  monthly (hard): 100 of 100, resets 2026-04-01 00:00",
            id="nothing-is-left",
        ),
        pytest.param(
            event("CURRENT", limits=[limit_status(8, carried=20), SPEED]),
            "current    calls  monthly (hard): 8 of 100 and 20 carried over, "
            "resets 2026-04-01 00:00; burst (hard, 10 per minute, 20 at once): 3 of 20",
            id="what-was-carried-in-and-a-rate",
        ),
        pytest.param(
            event("RESET", limits=[limit_status(0)]),
            "reset      calls  monthly (hard): 0 of 100, resets 2026-04-01 00:00",
            id="a-new-window",
        ),
        pytest.param(
            event("RESET", limits=[pb.LimitStatus(limit="ever\x1b", used=2)]),
            "reset      calls  ever\\x1b (none): 2 of unlimited",
            id="data-cannot-steer-the-terminal",
        ),
        pytest.param(
            pb.WatchEntitlementsResponse(event=99, feature="calls", at=NOON),  # type: ignore[arg-type]
            "99         calls",
            id="an-event-of-a-newer-sidecar",
        ),
    ],
)
@pytest.mark.usefixtures("in_utc")
def test_an_event_is_a_line(
    watched: Watched, told: pb.WatchEntitlementsResponse, expected: str
) -> None:
    watched.events = [told]
    result = tallyd("watch", "acme", "--sidecar", watched.address)
    assert (ExitCode.OK, "") == (result.exit_code, result.stderr)
    assert f"2026-03-15 12:00:00 UTC  {expected}\n" == result.stdout


def test_json_is_an_object_a_line_on_a_terminal_too(watched: Watched, on_terminal: None) -> None:
    watched.events = [event("RESET", limits=[limit_status(0)]), event("EXHAUSTED", "tokens")]
    result = tallyd("watch", "acme", "--json", "--sidecar", watched.address)
    first, second = map(json.loads, result.stdout.splitlines())
    assert ("RESET", "calls", "monthly") == (
        first["event"],
        first["feature"],
        first["limits"][0]["limit"],
    )
    assert ("EXHAUSTED", "tokens", []) == (second["event"], second["feature"], second["limits"])


def test_it_asks_for_what_is_named(watched: Watched) -> None:
    tallyd(
        *("watch", "acme", "-f", "calls", "--feature", "tokens"),
        *("-d", "user=joe", "--dimension", "model=large", "--sidecar", watched.address),
    )
    expected = pb.WatchEntitlementsRequest(
        company="acme",
        features=["calls", "tokens"],
        dimensions={"user": "joe", "model": "large"},
    )
    assert [expected] == watched.requests


def test_ctrl_c_is_how_it_ends(watched: Watched) -> None:
    watched.events = [event("RESET", limits=[limit_status(0)])]
    watched.goes_on = True
    watching = subprocess.Popen(
        [*tallyd_command(), "watch", "acme", "--sidecar", watched.address],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        # The line comes at once, though nobody reads it on a terminal and more may follow.
        assert "reset" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        rest, errors = watching.communicate(timeout=HANG_SECONDS_MAX)
    finally:
        watching.kill()
        watching.wait()
    assert (ExitCode.OK, "", "") == (watching.returncode, rest, errors)


def test_a_sidecar_that_cannot_be_reached_is_exit_3() -> None:
    result = tallyd("watch", "acme", "--sidecar", "127.0.0.1:1")
    assert ExitCode.UNREACHABLE == result.exit_code


def test_a_refusal_is_told(fake: FakeServer) -> None:
    result = tallyd("watch", "acme", "--sidecar", fake.address)
    assert ExitCode.FAILED == result.exit_code
    assert "UNIMPLEMENTED" in result.stderr


def test_a_dimension_without_a_value_is_wrong_usage() -> None:
    result = tallyd("watch", "acme", "--dimension", "user")
    assert ExitCode.USAGE == result.exit_code
