"""What real daemons expose: by Prometheus' conventions, documented, and an answer to questions."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from tests.support.build import HARD, catalog, company, limit, metered
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.exposition import families, label_names, problems
from tests.support.ports import ANY_PORT
from tests.support.processes import ROOT, until
from tests.support.sidecar_api import ask
from tests.support.web import get

DOCUMENTED: Final = ROOT / "deploy/metrics/README.md"
CONTENT: Final = catalog({"basic": [metered("calls", limit("monthly", 10, HARD))]})
CHECK: Final = "sidecar.api.enforcement.v1.EnforcementService/CheckAndIncrement"
WATCH: Final = "sidecar.api.enforcement.v1.EnforcementService/WatchEntitlements"
FOREIGN: Final = ("process_", "python_")
"""What the client library adds by itself."""

Samples = dict[frozenset[tuple[str, str]], float]


class Described(NamedTuple):
    """A metric as the documentation has it."""

    kind: str
    labels: frozenset[str]
    meaning: str


class System(NamedTuple):
    """A plane and a sidecar, with traffic behind them."""

    plane: ControlPlane
    sidecar: Sidecar

    async def scraped(self, daemon: str) -> str:
        if daemon == "sidecar":
            address = f"127.0.0.1:{self.sidecar.seen('sidecar.listening')[-1]['http_port']}"
        else:
            address = self.plane.seen("control.ready")[-1]["http"]
        status, text = await get(address, "/metrics")
        assert 200 == status
        return text

    async def samples(self, daemon: str, name: str) -> Samples:
        family = families(await self.scraped(daemon))[name]
        return {frozenset(sample.labels.items()): sample.value for sample in family.samples}


def documented(daemon: str) -> dict[str, Described]:
    """The table of a daemon's metrics, by name."""
    section = DOCUMENTED.read_text().split(f"## The {daemon}'s metrics")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+?) \|$", section, re.MULTILINE)
    assert len(rows) == len({name for name, *_ in rows})
    return {
        name: Described(kind, frozenset(re.findall(r"`(\w+)`", labels)), meaning)
        for name, kind, labels, meaning in rows
    }


@asynccontextmanager
async def system(folder: Path, transport: str = "native") -> AsyncIterator[System]:
    plane = ControlPlane(folder / "plane.db")
    plane.options["http_listen"] = ANY_PORT
    async with plane:
        await plane.control.Apply(
            control_pb2.ApplyRequest(
                catalog=catalog_to_message(CONTENT), companies=[company_to_message(company())]
            )
        )
        sidecar = Sidecar(
            folder / "s", plane.address, http_listen=ANY_PORT, transport=transport, node="n1"
        )
        async with sidecar:
            await sidecar.ready()
            yield System(plane, sidecar)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[System]:
    async with system(tmp_path) as found:
        yield found


async def use(sidecar: Sidecar) -> None:
    """One check that is allowed, one that is denied, one of no feature, and one that is wrong."""
    await sidecar.api.CheckAndIncrement(ask(quantity=4))
    await sidecar.api.CheckAndIncrement(ask(quantity=40))
    await sidecar.api.CheckAndIncrement(ask("no such feature"))
    with pytest.raises(grpc.aio.AioRpcError):
        await sidecar.api.CheckAndIncrement(ask(quantity=-1))


@pytest.mark.parametrize("daemon", ["sidecar", "control plane"])
async def test_every_metric_is_documented_as_it_is(running: System, daemon: str) -> None:
    await use(running.sidecar)
    await running.plane.control.ChangeSubscription(
        control_pb2.ChangeSubscriptionRequest(company="acme", pause=control_pb2.PauseSubscription())
    )

    async def is_told() -> bool:
        names = set(families(await running.scraped(daemon)))
        return documented(daemon).keys() <= names

    await until(is_told, "the metrics never said so")
    text = await running.scraped(daemon)
    table = documented(daemon)
    exposed = {
        name: family for name, family in families(text).items() if not name.startswith(FOREIGN)
    }
    assert sorted(table) == sorted(exposed)
    for name, family in exposed.items():
        labels = label_names(family) if family.samples else table[name].labels
        meaning = family.documentation.replace("|", "\\|")
        assert table[name] == Described(family.type, frozenset(labels), meaning), name
    assert [] == problems(text)


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_sidecar_says_what_was_denied_and_why_and_how_calls_ended(
    tmp_path: Path, transport: str
) -> None:
    async with system(tmp_path, transport) as running:
        await use(running.sidecar)
        watch = running.sidecar.api.WatchEntitlements(pb.WatchEntitlementsRequest(company="acme"))
        await watch.read()
        watch.cancel()

        def ended(method: str, code: str) -> frozenset[tuple[str, str]]:
            return frozenset({"method": method, "code": code}.items())

        async def watch_ended() -> bool:
            calls = await running.samples("sidecar", "tallyd_grpc_calls_total")
            return calls.get(ended(WATCH, "CANCELLED")) == 1

        await until(watch_ended, "the metrics never said so")
        calls = await running.samples("sidecar", "tallyd_grpc_calls_total")
        assert 3 == calls[ended(CHECK, "OK")]
        assert 1 == calls[ended(CHECK, "INVALID_ARGUMENT")]
        decisions = await running.samples("sidecar", "tallyd_decisions_total")
        assert {
            ("allowed", "calls", "ALLOWED"): 1,
            ("denied", "calls", "LIMIT_EXCEEDED"): 1,
            ("denied", "other", "UNKNOWN_FEATURE"): 1,
        } == {
            (told["result"], told["feature"], told["reason"]): count
            for labels, count in decisions.items()
            for told in [dict(labels)]
        }


async def test_a_plane_says_who_is_there_and_how_far_behind(running: System) -> None:
    await running.sidecar.api.CheckAndIncrement(ask(quantity=4))

    async def is_pushed() -> bool:
        records = await running.samples("control plane", "tallyd_sidecar_records_total")
        return 1 in records.values()

    await until(is_pushed, "the metrics never said so")
    (labels,) = await running.samples("control plane", "tallyd_sidecar_info")
    told = dict(labels)
    incarnation = told["incarnation"]
    assert "n1" == told["node"]
    assert told["version"]
    by_sidecar = frozenset({"incarnation": incarnation, "node": "n1"}.items())
    for name, least in (
        ("tallyd_sidecar_watches", 1),
        ("tallyd_sidecar_push_lag_seconds", 0),
        ("tallyd_sidecar_last_push_timestamp_seconds", 1.7e9),
        ("tallyd_sidecar_last_heard_timestamp_seconds", 1.7e9),
    ):
        assert (await running.samples("control plane", name))[by_sidecar] >= least, name
    before = (await running.samples("control plane", "tallyd_ledger_increments_total")).popitem()[1]
    assert 1 == before
    await running.sidecar.stop()

    async def is_gone() -> bool:
        watches = await running.samples("control plane", "tallyd_sidecar_watches")
        return watches[by_sidecar] == 0

    await until(is_gone, "the metrics never said so")
