"""A control plane and a sidecar on virtual time: real services, engine and stores, in memory.

Nothing here waits, and there is no network: the sidecar is told at once what the plane changes, and
what it has counted is pushed before the plane has to know.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Final

from sidecar.control.rules.history import Run
from sidecar.control.services import apply, ingest, overrides, snapshots, subscriptions, usage
from sidecar.control.services.close_windows import RollingCatalogs, close_windows
from sidecar.control.services.credit_debts import FIRST_DEBT, balances_in_debt, repay_debts
from sidecar.control.services.directory import get_company
from sidecar.control.services.filling import Filler, any_unfinished
from sidecar.control.services.filling_walk import FillingWalker
from sidecar.control.services.plan_moves import move_due, move_page
from sidecar.control.services.rollover_walk import Walker
from sidecar.control.services.subscriptions import ChangedSubscription
from sidecar.control.services.unused_credits import (
    KeptUnusedTerms,
    companies_with_unused,
    void_unused,
)
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import CounterKey, LineFilter, StoredCompany, UsageSum
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company, Override
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis
from sidecar.domain.limits.requests import Check
from sidecar.domain.slices import whole
from sidecar.engine.enforce import Answer, Enforcer
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.query import CheckResult, Queries
from sidecar.sim.kind_world import KindSums, KindWorld
from sidecar.sim.model import SubscriptionStep
from sidecar.storage.counters import Counters
from sidecar.storage.memory import MemoryEngine
from sidecar.storage.opening import open_store
from sidecar.storage.outbox import Outbox
from sidecar.storage.snapshots import SnapshotChanges, Snapshots
from sidecar.storage.watch_position import WatchPosition
from sidecar.sync.records import UsageRecordReader

CLOSED_MAX: Final = 50_000
"""Most windows from which something is carried on: such of a minute would take hours."""
_INCARNATION: Final = "00000000-0000-4000-8000-{:012d}"
_RUN_RECORDS: Final = 500
_RUN_BYTES: Final = 1 << 20
_SUMS_MAX: Final = 10_000


def _encode(decision: Decision, basis: Basis, record_id: str) -> bytes:
    """No answer is ever asked for again."""
    return b""


class World:
    """One plane, one sidecar, one company, and a clock. `now_us` is moved by whoever plays."""

    def __init__(self, starts_us: int) -> None:
        self.now_us = starts_us
        self.company = ""
        self._plane = SqliteStore()
        self._catalogs = RollingCatalogs()
        self._walker = Walker(self._catalogs)
        self._unused_terms = KeptUnusedTerms()
        self._filling_walker, self._filler = FillingWalker(), Filler()
        lives = count(1)
        store = open_store(MemoryEngine(), new_incarnation=lambda: _INCARNATION.format(next(lives)))
        self._incarnation = store.incarnation.id
        self._outbox = Outbox(store, UsageRecordReader())
        self._counters = Counters(store)
        self._status = PlaneStatus(authority=False)
        self._directory = Directory(Snapshots(store), 1)
        self._enforcer = Enforcer(store, self._directory, self._status, _encode)
        self.queries = Queries(store, self._counters, self._directory, self._status)
        self.kinds = KindWorld(self._plane, store, self._directory, self._status)
        self._position = snapshots.start(
            self._plane, 0, False, starts_us, accepts_spans=True, accepts_kinds=True
        )
        self._unpushed = self._closed = 0

    def close(self) -> None:
        """Let go of the database."""
        self._plane.close()

    def apply(self, catalog: Catalog | None, *companies: Company) -> None:
        """Apply at the plane, as a catalog file does. Raises what `apply` raises."""
        apply.apply(self._plane, apply.Desired(catalog, companies), self.now_us)
        self.settle()

    def change(self, step: SubscriptionStep) -> ChangedSubscription:
        """Change the subscription at the plane. Raises what that raises."""
        done = subscriptions.change_subscription(
            self._plane, self.company, step.change, step.when, self.now_us, step.on_planned
        )
        self.settle()
        return done

    def grant(self, override: Override) -> str:
        """Grant the company an override at the plane; its id. Raises what that raises."""
        done = overrides.grant_override(self._plane, self.company, override, self.now_us)
        self.settle()
        return done.override.entitlement.id

    def revoke(self, id_: str) -> None:
        """Take an override back. Raises what that raises."""
        overrides.revoke_override(self._plane, self.company, id_, self.now_us)
        self.settle()

    def stored(self) -> StoredCompany:
        """The company as the plane has it."""
        return get_company(self._plane, self.company)

    def use(self, check: Check) -> Decision:
        """Ask the sidecar, and count."""
        self.hear()
        answer = self._enforcer.check_and_increment(check, self.now_us, self._asked())
        assert isinstance(answer, Answer)  # there are no keys, and nothing is needed
        if answer.record_id:
            self.note_record()
        return answer.decision

    def hear(self) -> None:
        """Let the sidecar know what time it is, and that the plane is there."""
        self._status.heard(self.now_us)
        self._status.known_us = self.now_us

    def note_record(self) -> None:
        """The sidecar has recorded usage, which is pushed before the plane has to know."""
        self._unpushed += 1
        if self._unpushed >= _RUN_RECORDS:
            self._push()

    def ask(self, check: Check) -> CheckResult:
        """What the sidecar would answer; counts nothing."""
        self.hear()
        result = self.queries.check(check, self.now_us, self._asked())
        assert isinstance(result, CheckResult)
        return result

    def settle(self) -> None:
        """Let the plane do what is due, and sidecar and plane tell each other all there is.

        Raises `InvalidInput` where too many windows roll over.
        """
        self.hear()
        self._unpushed += self.kinds.expire(self.now_us)
        self._push()
        while move_due(self._plane):
            move_page(self._plane, self.now_us)
        self._void_unused()
        changed: dict[CounterKey, None] = {}
        more = True
        while more:
            closed = close_windows(self._plane, self._catalogs, self.now_us)
            page = self._walker.next_page(self._plane, self.now_us)
            begun = [] if page is None else self._walker.look_at(self._plane, page, self.now_us)
            changed.update(dict.fromkeys([*closed, *begun, *self._fill(), *self._repay()]))
            self._closed += len(closed)
            if self._closed > CLOSED_MAX:
                message = f"closes more than {CLOSED_MAX} windows whose rest rolls over"
                raise InvalidInput("catalog", message)
            more = bool(closed) or page is not None
        self._follow()
        if changed:
            with self._plane.read() as transaction:
                totals = transaction.totals(changed, self._incarnation)
            self._counters.hear(self._incarnation, totals)

    def _void_unused(self) -> None:
        unused, _ = companies_with_unused(self._plane, self._unused_terms, "", self.now_us)
        if unused:
            void_unused(self._plane, self._unused_terms, unused, self.now_us)
            self.kinds.note_voided(self.company, self.now_us)

    def _repay(self) -> Collection[CounterKey]:
        debts = balances_in_debt(self._plane, FIRST_DEBT)
        return repay_debts(self._plane, debts, self.now_us).changed if debts else ()

    def next_due(self, until_us: int) -> int | None:
        """When plane or sidecar have something to do by themselves, up to an instant."""
        due = [self.kinds.next_expiry_us()]
        with self._plane.read() as transaction:
            for key in transaction.rollover_windows_due(until_us, 1):
                window = transaction.rollover_window(key)
                due.append(None if window is None else window.due_us)
        return min((each for each in due if each is not None and each <= until_us), default=None)

    def sums(self, from_us: int, until_us: int) -> list[UsageSum]:
        """What the ledger has of events in a stretch of time, by feature."""
        self._push()
        wanted = LineFilter(company=self.company, from_us=from_us, until_us=until_us)
        return usage.sum_usage(self._plane, wanted, False, False, _SUMS_MAX)[0]

    def kind_sums(self, from_us: int, until_us: int) -> KindSums:
        """What the ledger has of credits and levels in a stretch of time."""
        self._push()
        return self.kinds.sums(self.company, from_us, until_us)

    def balances(self) -> dict[str, int]:
        """What can be spent of each balance, less what is owed, in micro-credits."""
        self.settle()
        return self.kinds.balances(self.company, self.now_us)

    def _asked(self) -> Needs:
        return Needs(frozenset((self.company,)))

    def _fill(self) -> list[CounterKey]:
        """Let the plane fill counters of limits that are new."""
        while self._filling_walker.any_left(self._plane):
            self._filling_walker.step(self._plane, self.now_us)
        filled: list[CounterKey] = []
        while any_unfinished(self._plane):
            filled += self._filler.step(self._plane, self.now_us)
        return filled

    def _push(self) -> None:
        if not self._unpushed:
            return
        self._unpushed = 0
        while run := whole(self._outbox.next_run(_RUN_RECORDS, _RUN_BYTES)):
            sent = Run(run.first_sequence, run.previous_chain, run.records)
            pushed = ingest.push(self._plane, run.incarnation, sent, self.now_us, self.now_us)
            while self._outbox.acknowledge(run.incarnation, pushed.watermark):
                pass
            self._counters.hear(self._incarnation, pushed.totals)

    def _follow(self) -> None:
        """Tell the sidecar what has changed of catalog and company."""
        complete = False
        while not complete:
            page, self._position = snapshots.next_page(
                self._plane, self._position, self._incarnation, self.now_us
            )
            complete = page.complete
            if not page.empty:
                position = WatchPosition(page.epoch, page.revision) if complete else None
                self._directory.apply(
                    SnapshotChanges(page.catalog, page.snapshots, page.removed, position)
                )
