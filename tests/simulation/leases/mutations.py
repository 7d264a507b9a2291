"""Deliberate bugs, each of which the simulator has to find: the real code with one thing wrong.

Each takes the place of something in the code for as long as a block lasts. What it does wrong is
its first line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from sidecar.control.rules.lease_recovery import Recovery
from sidecar.control.services import (
    late_leases,
    lease_maintenance,
    lease_recovery,
    lease_settling,
    lease_terms,
)
from sidecar.control.services import leases as plane_leases
from sidecar.control.storage.lease_values import GrantedLease, LeaseLook
from sidecar.control.storage.sqlite.reads import SqliteReads
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.control.storage.witness_port import MemoryWitness, Witnessed
from sidecar.domain.leases.account import LeaseAccount
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.slices import Slices
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import LIFETIME_WINDOW
from sidecar.engine import late_use as engine_late_use
from sidecar.storage import leases as store_leases
from sidecar.storage import opening
from sidecar.storage.leases import Leases
from sidecar.storage.outbox import Outbox, OutboxRun
from tests.simulation.leases.generate import schedule_of
from tests.simulation.leases.mutating import Mutations
from tests.simulation.leases.player import play


def _play_seed(seed: int, only: Collection[str]) -> str:
    return play(schedule_of(seed, only)).violation


MUTATIONS: Final = Mutations(_play_seed)


@MUTATIONS.add
def spent_before_stored(stack: ExitStack) -> None:
    """A lease is spent of which the store notes nothing beside the counter."""
    take = store_leases._take

    def forgetful(transaction: Any, entry: Any, result: Any, refill_at: int) -> None:
        take(transaction, entry, result, refill_at)
        store_leases._put_entry(transaction, replace(entry, waits=False))

    stack.enter_context(patch.object(store_leases, "_take", forgetful))


@MUTATIONS.add
def granted_twice_on_retry(stack: ExitStack) -> None:
    """Whose answer was lost is told what was in it once more, on top of what is granted now."""
    answer = plane_leases._Granter.answer

    def generous(self: Any, request: LeaseRequest) -> LeaseResult:
        counter = request.counter
        key = CounterKey(counter.company, counter.feature, counter.counter)
        account = self._transaction.lease_account(key, self._look)
        result = answer(self, request)
        again = account.granted - max(request.held, account.own)
        if again <= 0 or result.status is not LeaseStatus.GRANTED:
            return result
        most = max(result.granted, request.used + request.want)
        return replace(result, granted=min(most, result.granted + again))

    stack.enter_context(patch.object(plane_leases._Granter, "answer", generous))


@MUTATIONS.add
def settled_twice(stack: ExitStack) -> None:
    """What a holder has reported is taken from its lease twice."""

    def account(reads: SqliteReads, account: LeaseAccount, key: CounterKey, look: Any) -> int:
        return sum(
            max(0, held.lease.granted - 2 * held.own)
            for held in reads.granted_leases(key, 1_000)
            if held.lease.incarnation != look.incarnation
        )

    _patch_outstanding(stack, account)


@MUTATIONS.add
def handed_out_again_after_a_while(stack: ExitStack) -> None:
    """A lease that its holder has not asked about for a while is taken to be free."""

    def account(reads: SqliteReads, account: LeaseAccount, key: CounterKey, look: Any) -> int:
        since_us = look.active_since_us + 55 * SECOND_US
        return sum(
            held.outstanding
            for held in reads.granted_leases(key, 1_000)
            if held.lease.incarnation != look.incarnation and held.lease.asked_us > since_us
        )

    _patch_outstanding(stack, account)


def _patch_outstanding(stack: ExitStack, outstanding: Callable[..., int]) -> None:
    """Have the plane reckon otherwise what others may count still."""
    real = SqliteReads.lease_account

    def account(self: SqliteReads, key: CounterKey, look: LeaseLook) -> LeaseAccount:
        found = real(self, key, look)
        return replace(found, outstanding_of_others=outstanding(self, found, key, look))

    stack.enter_context(patch.object(SqliteReads, "lease_account", account))


@MUTATIONS.add
def no_incarnation_for_a_copy(stack: ExitStack) -> None:
    """A copied disk, or one that lost its last commits, goes on as who it was."""
    same = patch.object(opening, "with_new_incarnation", lambda known, *_: known)
    stack.enter_context(same)


@MUTATIONS.add
def zeroed_before_sent(stack: ExitStack) -> None:
    """Records are forgotten as they are sent, rather than once the plane has them."""
    next_run = Outbox.next_run

    def forgetful(self: Outbox, records_max: int, bytes_max: int) -> Slices[OutboxRun | None]:
        run = yield from next_run(self, records_max, bytes_max)
        if run is not None:
            self.acknowledge(run.incarnation, run.first_sequence + len(run.records) - 1)
        return run

    stack.enter_context(patch.object(Outbox, "next_run", forgetful))


@MUTATIONS.add
def outlives_its_segment(stack: ExitStack) -> None:
    """A lease is said to be good for the whole window, whatever becomes of the limit in it."""
    terms = lease_terms.TermsFinder.terms

    def endless(self: lease_terms.TermsFinder, key: CounterKey) -> Any:
        found = terms(self, key)
        if found is None:
            return None
        return replace(found, amount=0, valid_until_us=key.counter.window.end_us)

    stack.enter_context(patch.object(lease_terms.TermsFinder, "terms", endless))


@MUTATIONS.add
def burned_is_billed(stack: ExitStack) -> None:
    """What a holder may have spent is counted as used when it reports."""
    report = lease_recovery.report

    def counting(
        store: Any, incarnation: str, epoch: str, held: Any, *rest: Any, **more: Any
    ) -> Any:
        done = report(store, incarnation, epoch, held, *rest, **more)
        with store.write() as transaction:
            version = transaction.next_ledger_version(0)
            for lease in held:
                key = lease.key
                (known,) = transaction.totals([key], lease.incarnation)
                burned = max(0, lease.granted - known.own)
                transaction.add_to_counters(lease.incarnation, {key: burned}, version)
        return done

    stack.enter_context(patch("sidecar.control.rpc.report_answers.take_report", counting))


@MUTATIONS.add
def recalled_before_recorded(stack: ExitStack) -> None:
    """A recall is obeyed by what was used a moment ago, before what is being counted."""
    request = Leases.request

    def hasty(self: Leases, wishes: Sequence[LeaseWish]) -> list[LeaseRequest]:
        return [
            replace(each, held=each.held // 2, used=each.used // 2) if wish.gives_back else each
            for wish, each in zip(wishes, request(self, wishes), strict=True)
        ]

    stack.enter_context(patch.object(Leases, "request", hasty))


@MUTATIONS.add
def epoch_ignored(stack: ExitStack) -> None:
    """A plane that lost state grants as if it had not."""
    stack.enter_context(patch.object(Recovery, "withholds", lambda *_: False))


@MUTATIONS.add
def earlier_answer_taken(stack: ExitStack) -> None:
    """An answer is taken whatever was asked since."""

    def credulous(
        self: Leases, incarnation_id: str, answered: Sequence[tuple[CounterName, LeaseResult, int]]
    ) -> int:
        def work(transaction: Any) -> int:
            for counter, result, refill_at in answered:
                entry = store_leases._entry_of(transaction, counter)
                if entry is not None:
                    store_leases._take(transaction, entry, result, refill_at)
            return len(answered)

        return self._store.transact(work)

    stack.enter_context(patch.object(Leases, "take", credulous))


@MUTATIONS.add
def number_not_stored(stack: ExitStack) -> None:
    """Numbers of requests begin anew with each process."""
    init, request = Leases.__init__, Leases.request
    numbers: dict[int, int] = {}

    def begin(self: Leases, store: Any) -> None:
        init(self, store)
        numbers[id(self)] = 0

    def from_memory(self: Leases, wishes: Sequence[LeaseWish]) -> list[LeaseRequest]:
        with patch.object(store_leases, "read_numbers", lambda _: {"": numbers[id(self)]}):
            requests = request(self, wishes)
        numbers[id(self)] += len(requests)
        return requests

    stack.enter_context(patch.object(Leases, "__init__", begin))
    stack.enter_context(patch.object(Leases, "request", from_memory))


@MUTATIONS.add
def witness_not_written(stack: ExitStack) -> None:
    """The plane's witness is there, and sees nothing."""
    note = MemoryWitness.note

    def blind(self: MemoryWitness, seen: Witnessed) -> None:
        note(self, Witnessed(0, seen.noted_us, {}))

    stack.enter_context(patch.object(MemoryWitness, "note", blind))


@MUTATIONS.add
def given_back_before_lowered(stack: ExitStack) -> None:
    """A lease is said to be given back that may be spent still."""
    request = Leases.request

    def keeping(self: Leases, wishes: Sequence[LeaseWish]) -> list[LeaseRequest]:
        kept = [
            replace(wish, gives_back=False, want=max(wish.want, 1)) if wish.gives_back else wish
            for wish in wishes
        ]
        return [
            replace(each, held=min(each.held, each.used), want=wish.want)
            if wish.gives_back
            else each
            for wish, each in zip(wishes, request(self, kept), strict=True)
        ]

    stack.enter_context(patch.object(Leases, "request", keeping))


@MUTATIONS.add
def lower_amount_ignored(stack: ExitStack) -> None:
    """A lease is spent though the limit is known to be lower than that by which it was granted."""
    take = Leases.take

    def heedless(
        self: Leases, incarnation_id: str, answered: Sequence[tuple[CounterName, LeaseResult, int]]
    ) -> int:
        blind = [
            (counter, replace(result, amount=0), refill_at)
            for counter, result, refill_at in answered
        ]
        return take(self, incarnation_id, blind)

    stack.enter_context(patch.object(Leases, "take", heedless))


@MUTATIONS.add
def released_though_it_is_there(stack: ExitStack) -> None:
    """What is leased of LIFETIME limits is released whoever holds it."""

    def always(granted: GrantedLease, presence: Any, release_us: int) -> bool:
        return granted.lease.key.counter.window == LIFETIME_WINDOW and granted.outstanding > 0

    stack.enter_context(patch.object(lease_settling, "is_releasable", always))
    stack.enter_context(patch.object(lease_maintenance, "is_releasable", always))


@MUTATIONS.add
def released_twice(stack: ExitStack) -> None:
    """What is released of a lease is taken from what was used, too."""
    end = lease_settling._end

    def generous(transaction: Any, leases: Sequence[GrantedLease], **how: bool) -> None:
        end(transaction, leases, **how)
        version = transaction.next_ledger_version(0)
        for granted in leases:
            transaction.add_to_counters(
                CORRECTIONS, {granted.lease.key: -granted.outstanding}, version
            )

    stack.enter_context(patch.object(lease_settling, "_end", generous))


@MUTATIONS.add
def carried_before_settled(stack: ExitStack) -> None:
    """What was carried into a window is leased whatever is leased of the windows before."""
    stack.enter_context(patch.object(lease_terms.TermsFinder, "_unsettled", lambda *_: 0))


@MUTATIONS.add
def carried_once_more_where_late(stack: ExitStack) -> None:
    """What packs and rollover had left is there again in each window that others follow."""

    def all_of_it(carried: Any, used: int, most: int, later: Any) -> int:
        return most

    for module in (engine_late_use, late_leases):
        stack.enter_context(patch.object(module, "most_usable", all_of_it))
