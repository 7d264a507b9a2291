"""Entries that are gone from the outbox: the rest is sent, and the plane is told of the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.errors import Unavailable
from sidecar.storage import keys
from tests.support.bounded import Bench, bench_of
from tests.support.processes import until

RECORDS = 30


def remove(bench: Bench, *sequences: int) -> None:
    """Take entries of the oldest incarnation out, behind the store's back."""
    store = bench.container.store
    ordinal = store.incarnations[0].ordinal

    def work(transaction: Any) -> None:
        for sequence in sequences:
            transaction.keyspace.delete(keys.outbox_key(ordinal, sequence))

    store.transact(work)


def greetings_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[sync_pb2.HelloRequest]:
    """Every greeting that the plane gets from now on."""
    heard: list[sync_pb2.HelloRequest] = []
    inner = type(bench.plane).Hello

    async def hello(plane: Any, request: sync_pb2.HelloRequest, **more: Any) -> bytes:
        heard.append(request)
        return await inner(plane, request, **more)

    monkeypatch.setattr(type(bench.plane), "Hello", hello)
    return heard


@pytest.mark.parametrize(
    ("removed", "lost"),
    [
        pytest.param([1], "1 were damaged and 1 missing", id="the first"),
        pytest.param([10], "1 were damaged and 1 missing", id="one of them"),
        pytest.param([RECORDS], "0 were damaged and 1 missing", id="the last"),
        pytest.param(
            [*range(9, RECORDS + 1)], "0 were damaged and 22 missing", id="all to the end"
        ),
        pytest.param([*range(1, RECORDS + 1)], "0 were damaged and 30 missing", id="all"),
    ],
)
async def test_what_is_there_is_sent_and_the_plane_is_told_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, removed: list[int], lost: str
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        greetings = greetings_of(bench, monkeypatch)
        bench.fill_outbox(RECORDS)
        first = bench.container.store.incarnation.id
        remove(bench, *removed)
        assert RECORDS == (await bench.status()).outbox_records
        assert bench.container.pusher is not None

        async def told() -> bool:
            return bool(greetings and greetings[-1].lost_stores)

        with capture_logs() as logs:
            async with bench.running(bench.container.pusher.run()):
                await bench.sent()
                await until(told, "the plane was not told")
        (found,) = greetings[-1].lost_stores
        assert (first, f"of its waiting records {lost}") == (found.incarnation, found.reason)
        assert {"outbox.damaged", "outbox.set_aside"} <= {line["event"] for line in logs}
        gone = len(removed) + ("1 were" in lost)
        assert RECORDS - gone == sum(map(len, bench.plane.records.values()))
        assert 0 == (await bench.status()).outbox_records


async def test_a_move_to_a_new_incarnation_goes_on_though_it_failed_at_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.fill_outbox(RECORDS)
        outbox, store = bench.container.outbox, bench.container.store
        outbox.begin_incarnation("life-2", store.incarnation.id, 0)
        remove(bench, *range(1, RECORDS + 1))
        move, failures = outbox.move_fenced, [IndexError(), Unavailable("", "odd", "STORE_FAILED")]

        def fails_at_first() -> bool:
            if failures:
                raise failures.pop()
            return move()

        monkeypatch.setattr(outbox, "move_fenced", fails_at_first)
        assert bench.container.pusher is not None
        async with bench.running(bench.container.pusher.run()):
            await bench.sent()
            bench.fill_outbox(3)
            await bench.sent()
        assert [3] == [len(records) for records in bench.plane.records.values()]
        assert not failures
