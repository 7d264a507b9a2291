"""The demo's third part: two pods, each with a sidecar of its own, share a hard limit."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.cli import output
from sidecar.cli.servers import connect
from sidecar.demo.ledger import heading
from sidecar.demo.system import CALL_S_MAX, SETTLE_S_MAX, System, expect
from sidecar.shared.api_json import enum_name
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us

_COMPANY: Final = "hooli"
_FEATURE: Final = "exports"
_LIMIT: Final = 100
CALLS_A_POD: Final = 80


def tell(system: System) -> Counter[str]:
    """Use a limit up from both pods at once, show who got what; what was counted, by feature."""
    heading(f"Two pods at once: {2 * CALLS_A_POD} calls on {_COMPANY}'s {_LIMIT} {_FEATURE}")
    second = system.start_second_sidecar()
    output.print_line(f"second sidecar: {second}")
    event_us = wall_us()  # one instant, so that no window ends in the middle
    with ThreadPoolExecutor() as pods:
        asked = [pods.submit(_ask, address, event_us) for address in (system.sidecar, second)]
        outcomes = [answers.result() for answers in asked]
    rows = [_row(name, found) for name, found in zip(("first", "second"), outcomes, strict=True)]
    output.print_table(("pod", "asked", "allowed", "denied", "decided by"), rows)
    allowed = sum(found["ALLOWED"] for found in outcomes)
    expect(allowed == _LIMIT, f"both pods together let {allowed} through, not {_LIMIT}")
    output.print_line(f"Together: {allowed} of {_LIMIT}, and never one more.")
    return Counter({_FEATURE: allowed})


def _ask(address: str, event_us: int) -> Counter[str]:
    """Ask a pod's sidecar, one call after another; how often it gave which reason and mode."""
    found: Counter[str] = Counter()
    with connect("sidecar", address) as channel:
        stub = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        for _ in range(CALLS_A_POD):
            decision = _decided(stub, event_us)
            found[str(enum_name(api.Reason.DESCRIPTOR, decision.reason))] += 1
            found[str(enum_name(api.BasisMode.DESCRIPTOR, decision.basis.mode))] += 1
    return found


def _decided(stub: enforcement_pb2_grpc.EnforcementServiceStub, event_us: int) -> api.Decision:
    """One call; asked again where the other pod is just giving back what it does not need."""
    request = api.CheckAndIncrementRequest(
        company=_COMPANY, feature=_FEATURE, quantity=1, event_time=timestamp(event_us)
    )
    deadline = time.monotonic() + SETTLE_S_MAX
    while True:
        decision = stub.CheckAndIncrement(request, timeout=CALL_S_MAX).decision
        if decision.reason != api.REASON_LEASE_UNAVAILABLE:
            return decision
        expect(time.monotonic() < deadline, "a pod got no lease")
        time.sleep(decision.retry_after.ToMicroseconds() / 1_000_000)


def _row(pod: str, found: Counter[str]) -> tuple[output.Cell, ...]:
    denied = found["LIMIT_EXCEEDED"]
    expect(found["ALLOWED"] + denied == CALLS_A_POD, f"the {pod} pod answered {dict(found)}")
    modes = [f"{mode} {found[mode]}" for mode in ("LEASED", "LOCAL") if found[mode]]
    return pod, CALLS_A_POD, found["ALLOWED"], denied, ", ".join(modes)
