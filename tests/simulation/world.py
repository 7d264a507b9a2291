"""A control plane and sidecars on virtual time: real services and stores, messages by hand.

Nothing here waits. `World.at` moves the clock; `World.sync` lets sidecar and plane exchange what
they have, as long as the network is up, in the messages that they would use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import count
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import sync_answers
from sidecar.control.services import apply, snapshots, subscriptions, usage
from sidecar.control.services.close_windows import RollingCatalogs, close_windows
from sidecar.control.services.rollover_walk import Walker
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import CounterKey
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company
from sidecar.domain.company.subscription_changes import NOW, SubscriptionChange, When
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis
from sidecar.domain.limits.requests import Check
from sidecar.domain.slices import whole
from sidecar.engine.enforce import Answer, Enforcer
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.shared.convert.counters import total_from_message, total_to_message
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.watch_position import WatchPosition
from sidecar.sync.machine.watch import Apply, WatchMachine
from tests.simulation.told import step_told
from tests.support.stores import MemoryDisk, OpenedStore

_RUN_RECORDS: Final = 500
_RUN_BYTES: Final = 1 << 20


def _encode(decision: Decision, basis: Basis, record_id: str) -> bytes:
    """No answer is ever asked for again."""
    return b"answer"


class Pod:
    """A sidecar that holds all companies."""

    def __init__(self, number: int) -> None:
        self.incarnation = f"00000000-0000-4000-8000-{number:012d}"
        self.opened = OpenedStore(MemoryDisk(), incarnation=self.incarnation)
        self._directory = Directory(self.opened.snapshots, 1_000)
        self._machine = WatchMachine("", 0)
        self.enforcer = Enforcer(
            self.opened.store, self._directory, PlaneStatus(authority=False), _encode
        )

    def push(self, plane: SqliteStore, now_us: int) -> list[CounterKey]:
        """Send what waits, and hear the totals of it; returns the counters that changed."""
        changed = []
        while run := whole(self.opened.outbox.next_run(_RUN_RECORDS, _RUN_BYTES)):
            request = sync_pb2.PushUsageRequest(
                incarnation=run.incarnation,
                first_sequence=run.first_sequence,
                previous_chain=run.previous_chain,
                records=run.records,
            )
            response, pushed = sync_answers.push(plane, request, now_us, now_us)
            while self.opened.outbox.acknowledge(run.incarnation, response.watermark):
                pass
            totals = enumerate(response.totals)
            self.hear(total_from_message(total, f"totals[{at}]") for at, total in totals)
            changed += [CounterKey(it.company, it.feature, it.counter) for it in pushed.totals]
        return changed

    def watch(self, plane: SqliteStore, now_us: int) -> None:
        """Resume the watch where it was, and follow it to the present."""
        resume = self._machine.resume_revision()
        position = snapshots.start(
            plane,
            resume,
            False,
            now_us,
            accepts_spans=True,
            accepts_changes=True,
            accepts_kinds=True,
        )
        complete = False
        while not complete:
            messages, page, position = sync_answers.watch_page(
                plane, position, self.incarnation, now_us
            )
            complete = page.complete
            for message in messages:
                self._take(message)

    def hear(self, totals: Iterable[CounterTotal]) -> None:
        """Take over totals."""
        self.opened.counters.hear(self.incarnation, tuple(totals))

    def _take(self, message: sync_pb2.WatchSnapshotsResponse) -> None:
        step = step_told(message)
        action = self._machine.stepped(step)
        if isinstance(action, Apply):
            position = None
            if action.revision is not None:
                position = WatchPosition(action.epoch, action.revision)
            self._directory.apply(
                SnapshotChanges(action.catalog, action.companies, action.removed, position)
            )
        self.hear(step.totals)


class World:
    """One plane, sidecars, one unless told otherwise, and a clock."""

    def __init__(self, start_us: int, pods: int = 1) -> None:
        self.now_us = start_us
        self.online = True
        self.plane = SqliteStore()
        self._catalogs = RollingCatalogs()
        self._walker = Walker(self._catalogs)
        self._pods = [Pod(number) for number in range(1, pods + 1)]
        self._keys = count(1)

    def close(self) -> None:
        """Let go of all stores."""
        for pod in self._pods:
            pod.opened.close()
        self.plane.close()

    def at(self, now_us: int) -> None:
        """Move the clock; the plane does meanwhile what it does in the background."""
        assert now_us >= self.now_us
        self.now_us = now_us
        self._maintain()

    def apply(self, catalog: Catalog, companies: Sequence[Company]) -> None:
        """Apply at the plane, as a catalog file does."""
        apply.apply(self.plane, apply.Desired(catalog, tuple(companies)), self.now_us)
        self._maintain()

    def change(self, company: str, change: SubscriptionChange, when: When = NOW) -> int:
        """Change a subscription at the plane; when it takes effect."""
        done = subscriptions.change_subscription(self.plane, company, change, when, self.now_us)
        self._maintain()
        return done.effective_us

    def check(
        self, company: str, feature: str, quantity: int, dimensions: dict[str, str], pod: int = 0
    ) -> Decision:
        """Ask a sidecar, and count."""
        check = Check(
            company,
            feature,
            quantity,
            self.now_us,
            idempotency_key=f"key-{next(self._keys)}",
            dimensions=dimensions,
        )
        asked = Needs(frozenset((company,)))
        answer = self._pods[pod].enforcer.check_and_increment(check, self.now_us, asked)
        assert isinstance(answer, Answer)
        return answer.decision

    def usage(self, company: str) -> Sequence[usage.LedgerLimitUsage]:
        """Usage of a company on its limits, as the plane knows it."""
        page = usage.company_usage(self.plane, company, "", self.now_us)
        assert page.after is None
        return page.limits

    def sync(self) -> None:
        """Exchange everything that waits, if the network is up."""
        if not self.online:
            return
        for pod in self._pods:
            changed = pod.push(self.plane, self.now_us)
            if len(self._pods) > 1:
                self._tell(changed)
        for pod in self._pods:
            pod.watch(self.plane, self.now_us)

    def _maintain(self) -> None:
        """Carry what rolls over, and tell sidecars if they can be told."""
        changed: dict[CounterKey, None] = {}
        while (page := self._walker.next_page(self.plane, self.now_us)) is not None:
            begun = self._walker.look_at(self.plane, page, self.now_us)
            changed.update(dict.fromkeys(begun))
        while keys := close_windows(self.plane, self._catalogs, self.now_us):
            changed.update(dict.fromkeys(keys))
        if changed and self.online:
            self._tell(changed)

    def _tell(self, changed: Collection[CounterKey]) -> None:
        """Tell sidecars what counters show, in the messages that the plane would send."""
        for pod in self._pods:
            with self.plane.read() as transaction:
                messages = map(total_to_message, transaction.totals(changed, pod.incarnation))
            pod.hear(total_from_message(message, "totals") for message in messages)
