from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from click.testing import CliRunner, Result

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli import reconcile
from sidecar.cli.main import main

Sums = Mapping[str, tuple[int, int]]
TOKENS = {"tokens": (3, 70)}


@dataclass
class FakePair:
    """Sidecar and control plane on one port, for three calls.

    `incoming`: usage that comes in after each look at the sidecar's status.
    """

    accepted: dict[str, tuple[int, int]] = field(default_factory=lambda: dict(TOKENS))
    ledger: dict[str, tuple[int, int]] | None = field(default_factory=lambda: dict(TOKENS))
    complete: bool = True
    standalone: bool = False
    fenced: bool = False
    incoming: int = 0
    address: str = ""
    flushes: int = 0

    def status(self, request: object, context: object) -> admin_pb2.GetStatusResponse:
        answer = admin_pb2.GetStatusResponse(
            incarnation="i-1",
            standalone=self.standalone,
            last_sequence=_records(self.accepted),
            tallies=[
                admin_pb2.FeatureTally(feature=feature, records=records, quantity=quantity)
                for feature, (records, quantity) in self.accepted.items()
            ],
        )
        if self.incoming:
            self.incoming -= 1
            records, quantity = self.accepted["tokens"]
            self.accepted["tokens"] = records + 1, quantity + 5
        return answer

    def flush(self, request: object, context: object) -> admin_pb2.FlushResponse:
        self.flushes += 1
        return admin_pb2.FlushResponse(
            complete=self.complete, outbox_records=0 if self.complete else 2
        )

    def incarnation(
        self, request: control_pb2.GetIncarnationRequest, context: object
    ) -> control_pb2.GetIncarnationResponse:
        assert "i-1" == request.incarnation
        ledger: Sums = self.accepted if self.ledger is None else self.ledger
        return control_pb2.GetIncarnationResponse(
            watermark=_records(ledger),
            fenced=self.fenced,
            tallies=[
                control_pb2.IncarnationTally(feature=feature, records=records, quantity=quantity)
                for feature, (records, quantity) in ledger.items()
            ],
        )


def _records(sums: Sums) -> int:
    return sum(records for records, _ in sums.values())


def _handlers(pair: FakePair) -> list[grpc.GenericRpcHandler]:
    def method(call: Any, request: Any) -> grpc.RpcMethodHandler[Any, Any]:
        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )

    services = {
        "sidecar.api.admin.v1.AdminService": {
            "GetStatus": method(pair.status, admin_pb2.GetStatusRequest),
            "Flush": method(pair.flush, admin_pb2.FlushRequest),
        },
        "sidecar.api.control.v1.ControlService": {
            "GetIncarnation": method(pair.incarnation, control_pb2.GetIncarnationRequest),
        },
    }
    return [
        grpc.method_handlers_generic_handler(service, methods)
        for service, methods in services.items()
    ]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePair]:
    monkeypatch.setattr(reconcile, "PAUSE_S", 0.001)
    fake = FakePair()
    with ThreadPoolExecutor(max_workers=2) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers(_handlers(fake))
        fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        yield fake
        server.stop(grace=None).wait()


def run(pair: FakePair, *options: str) -> Result:
    arguments = ["reconcile", "--sidecar", pair.address, "--control", pair.address, *options]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def last(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_equal_sides_have_no_difference(pair: FakePair) -> None:
    result = run(pair)
    expected = {
        "accepted": 3,
        "ledger": 3,
        "difference": 0,
        "quantity": {"tokens": {"accepted": 70, "ledger": 70, "difference": 0}},
        "kept": [],
        "incarnation": "i-1",
        "flushed": True,
        "settled": True,
        "fenced": False,
        "losses": 0,
        "lost_records": 0,
        "lost": [],
    }
    assert 0 == result.exit_code
    assert expected == last(result)


def test_the_last_line_is_all_there_is_with_json(pair: FakePair) -> None:
    result = run(pair, "--json")
    assert 1 == len(result.stdout.splitlines())
    assert 0 == last(result)["difference"]


def test_nothing_on_both_sides_is_equal(pair: FakePair) -> None:
    pair.accepted, pair.ledger = {}, {}
    result = run(pair)
    assert 0 == result.exit_code
    assert {} == last(result)["quantity"]


@pytest.mark.parametrize(
    ("accepted", "ledger", "difference"),
    [
        pytest.param({"a": (1, 10)}, {"a": (1, 9)}, 1, id="quantity"),
        pytest.param({"a": (1, 9)}, {"a": (1, 10)}, 1, id="quantity, the other way"),
        pytest.param({"a": (2, 10)}, {"a": (1, 4)}, 7, id="records and quantity"),
        pytest.param({"a": (1, 5), "b": (1, 5)}, {"a": (2, 10)}, 12, id="features do not cancel"),
        pytest.param({}, {"a": (1, 5)}, 6, id="only in the ledger"),
    ],
)
def test_a_difference_ends_with_1(
    pair: FakePair,
    accepted: dict[str, tuple[int, int]],
    ledger: dict[str, tuple[int, int]],
    difference: int,
) -> None:
    pair.accepted, pair.ledger = accepted, ledger
    result = run(pair)
    assert 1 == result.exit_code
    assert difference == last(result)["difference"]


def test_usage_that_comes_in_meanwhile_is_waited_for(pair: FakePair) -> None:
    pair.ledger, pair.incoming = None, 7
    result = run(pair)
    assert 0 == result.exit_code
    assert {"accepted": 10, "ledger": 10, "difference": 0} == {
        name: last(result)[name] for name in ("accepted", "ledger", "difference")
    }
    assert pair.flushes > 1


def test_usage_that_never_stops_ends_with_1(pair: FakePair) -> None:
    pair.ledger, pair.incoming = None, 1_000_000
    result = run(pair)
    assert 1 == result.exit_code
    assert reconcile.ATTEMPTS_MAX == pair.flushes
    assert "kept coming in" in result.stdout
    assert not last(result)["settled"]


def test_an_incomplete_flush_is_told(pair: FakePair) -> None:
    pair.complete = False
    pair.ledger = {"tokens": (1, 20)}
    result = run(pair)
    assert 1 == result.exit_code
    assert "2 records still wait" in result.stdout
    assert (52, False) == (last(result)["difference"], last(result)["flushed"])
    assert 1 == pair.flushes


def test_a_fenced_store_is_told(pair: FakePair) -> None:
    pair.fenced = True
    result = run(pair)
    assert "fenced" in result.stdout
    assert last(result)["fenced"]


def test_a_standalone_sidecar_has_no_ledger(pair: FakePair) -> None:
    pair.standalone = True
    result = run(pair)
    assert 2 == result.exit_code
    assert "standalone" in result.stderr


def test_a_control_plane_that_is_not_there_is_told(pair: FakePair) -> None:
    arguments = ["reconcile", "--sidecar", pair.address, "--control", "unix:/nowhere.sock"]
    result = CliRunner().invoke(main, arguments)
    assert 3 == result.exit_code
    assert "control plane" in result.stderr
