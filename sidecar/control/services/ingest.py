"""Takes usage into the ledger: every record once, in one transaction with the watermark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from sidecar.control.errors import Fenced, SequenceGap
from sidecar.control.rules.duplicates import find_duplicates, keys_of
from sidecar.control.rules.history import (
    Diverged,
    Greeting,
    HistoryGap,
    Run,
    RunAccepted,
    Verdict,
    chains_to_compare,
    judge_greeting,
    judge_run,
)
from sidecar.control.rules.records import Record, Unreadable, read_records
from sidecar.control.services.attribution import Attributor
from sidecar.control.services.burns import Burns
from sidecar.control.services.close_windows import follow
from sidecar.control.services.filling import Arrivals
from sidecar.control.services.lease_recovery import note_older_state
from sidecar.control.services.level_booking import book_levels
from sidecar.control.services.level_corrections import LevelCorrections
from sidecar.control.services.losses import (
    LostStore,
    note_ledger_loss,
    note_lost_stores,
    note_unreadable,
)
from sidecar.control.services.names import by_first_ids
from sidecar.control.storage.port import PlaneStore, WriteTransaction
from sidecar.control.storage.values import (
    Booked,
    CounterKey,
    KnownIncarnation,
    LedgerLine,
    PlaneState,
    UnreadableLine,
)
from sidecar.domain.capabilities import Capability
from sidecar.domain.limits.counters import CounterTotal

Amounts = dict[CounterKey, int]


class Pushed(msgspec.Struct, frozen=True):
    """What became of a run: up to where all is in the ledger, and totals of its counters.

    With those go the counters into which other amounts are carried because of it.
    `watermark` is the run's last sequence. `added`: how many records were new to the ledger, and
    `unreadable`: how many of them could not be read; those are booked as such, and on no counter.
    `oldest_accepted_us`: when a sidecar accepted the first of those that could; `None`: none could.
    `recalls`: who is asked to give back what would repay what is owed now, and of which counter.
    """

    watermark: int
    totals: Sequence[CounterTotal]
    added: int
    unreadable: int = 0
    oldest_accepted_us: int | None = None
    recalls: Sequence[tuple[str, CounterKey]] = ()


class Welcome(msgspec.Struct, frozen=True):
    """What the plane has of a sidecar.

    `watermark`: up to where it is as at the sidecar; if `fenced`, all that the plane has, of which
    the part up to `common_sequence` is.
    """

    watermark: int
    fenced: bool
    common_sequence: int
    state: PlaneState


def greet(
    store: PlaneStore,
    incarnation: str,
    node: str,
    greeting: Greeting,
    now_us: int,
    lost_stores: Sequence[LostStore] = (),
    capabilities: frozenset[Capability] = frozenset(),
) -> Welcome:
    """Note that a sidecar is there, and compare what it and the plane know of each other.

    What either has lost is remembered, and what the sidecar knows (`capabilities`).
    """
    with store.write() as transaction:
        known = _known(transaction, incarnation, now_us)
        acknowledged, last = greeting.acknowledged_sequence, greeting.last_sequence
        stored = dict(transaction.chains(incarnation, acknowledged, acknowledged))
        stored.update(transaction.chains(incarnation, last, last))
        greeted = judge_greeting(known, greeting, stored)
        transaction.put_incarnation(
            msgspec.structs.replace(
                known,
                fenced=known.fenced or greeted.fenced,
                node=node,
                last_heard_us=now_us,
                capabilities=capabilities,
                agreed_us=known.agreed_us if greeted.fenced else now_us,
            )
        )
        note_ledger_loss(transaction, known, acknowledged, node, now_us)
        if acknowledged > known.watermark and known.first_heard_us < now_us and not known.fenced:
            note_older_state(transaction, now_us, known.agreed_us)
        note_lost_stores(transaction, lost_stores, node)
        state = transaction.state()
    if greeted.fenced:
        return Welcome(known.watermark, True, greeted.common_sequence, state)
    return Welcome(greeted.common_sequence, False, 0, state)


def push(store: PlaneStore, incarnation: str, run: Run, now_us: int, elapsed_us: int) -> Pushed:
    """Apply a run of records. `elapsed_us`: by which idempotency keys age.

    Raises `SequenceGap` where records before the run are missing, and `Fenced` where the history is
    another one; the fencing itself is kept. A record that cannot be read is booked as such.
    """
    records = read_records(run.records)
    with store.write() as transaction:
        known = _known(transaction, incarnation, now_us)
        verdict = _judge(transaction, known, run)
        if isinstance(verdict, RunAccepted):
            return _accept(transaction, known, run, records, verdict, now_us, elapsed_us)
        if isinstance(verdict, HistoryGap):
            # A sidecar pushes what follows the last record that it was told the ledger has.
            note_ledger_loss(transaction, known, run.first_sequence - 1, known.node, now_us)
        fenced = known.fenced or isinstance(verdict, Diverged)
        transaction.put_incarnation(
            msgspec.structs.replace(known, fenced=fenced, last_heard_us=now_us)
        )
    if isinstance(verdict, HistoryGap):
        raise SequenceGap(verdict.expected_sequence)
    raise Fenced(verdict.common_sequence)


def _known(transaction: WriteTransaction, incarnation: str, now_us: int) -> KnownIncarnation:
    known = transaction.incarnation(incarnation)
    return known or KnownIncarnation(incarnation, first_heard_us=now_us, last_heard_us=now_us)


def _judge(transaction: WriteTransaction, known: KnownIncarnation, run: Run) -> Verdict:
    first, last = chains_to_compare(known, run)
    stored = transaction.chains(known.id, first, last) if first <= last else {}
    return judge_run(known, run, stored)


def _accept(
    transaction: WriteTransaction,
    known: KnownIncarnation,
    run: Run,
    records: Sequence[Record | Unreadable],
    verdict: RunAccepted,
    now_us: int,
    elapsed_us: int,
) -> Pushed:
    touched: dict[CounterKey, None] = {}
    for record in records:
        if isinstance(record, Record):
            touched.update(dict.fromkeys(record.all_counters))
    new = records[verdict.known :]
    watermark, head, unreadable = known.watermark, known.head, 0
    recalls: Sequence[tuple[str, CounterKey]] = ()
    if new:
        first = watermark + 1
        corrected, recalls = _add(
            transaction, known.id, first, new, run, verdict, now_us, elapsed_us
        )
        touched.update(dict.fromkeys(corrected))
        transaction.drop_losses(known.id, watermark + 1, run.last_sequence)
        unreadable = note_unreadable(transaction, known, new, now_us)
        watermark, head = run.last_sequence, verdict.chains[-1]
    transaction.put_incarnation(
        msgspec.structs.replace(
            known, watermark=watermark, head=head, last_heard_us=now_us, agreed_us=now_us
        )
    )
    totals = transaction.totals(touched, known.id)
    if reached := follow(transaction, totals, now_us):
        totals = transaction.totals({**touched, **dict.fromkeys(reached)}, known.id)
    oldest_us = next((record.accepted_us for record in new if isinstance(record, Record)), None)
    return Pushed(run.last_sequence, totals, len(new), unreadable, oldest_us, recalls)


def _add(
    transaction: WriteTransaction,
    incarnation: str,
    first_sequence: int,
    records: Sequence[Record | Unreadable],
    run: Run,
    verdict: RunAccepted,
    now_us: int,
    elapsed_us: int,
) -> tuple[Amounts, Sequence[tuple[str, CounterKey]]]:
    """Add new records to ledger and counters.

    Returns what the plane itself counted, and who is asked to give back what.
    """
    records = by_first_ids(transaction, records)
    known_uses = transaction.key_uses(keys_of(records))
    duplicate_of, uses = find_duplicates(incarnation, first_sequence, records, known_uses)
    duplicate_of = book_levels(transaction, incarnation, first_sequence, records, duplicate_of)
    attributor = Attributor(transaction, now_us)
    arrivals, burns = Arrivals(transaction, incarnation), Burns(transaction, attributor, now_us)
    levels = LevelCorrections(transaction)
    counted: Amounts = defaultdict(int)
    corrected: Amounts = defaultdict(int)
    lines: list[Booked] = []
    for at, (record, duplicated) in enumerate(zip(records, duplicate_of, strict=True)):
        data = run.records[verdict.known + at]
        if isinstance(record, Unreadable):
            lines.append(
                UnreadableLine(incarnation, first_sequence + at, now_us, record.problem, data)
            )
            continue
        for key in record.counters:
            counted[key] += record.quantity
        place = incarnation, first_sequence + at
        burns.book(record, data, place, counted, corrected, duplicated=bool(duplicated))
        belongs = () if duplicated else attributor.counters_of(record, data)
        if not duplicated:
            belongs = arrivals.with_filled(belongs, record, first_sequence + at, data)
        _correct(corrected, record, belongs)
        levels.book(record, record.counters if belongs is None else belongs)
        lines.append(
            LedgerLine(
                company=record.company,
                feature=record.feature,
                event_time_us=record.event_time_us,
                incarnation=incarnation,
                sequence=first_sequence + at,
                quantity=record.quantity,
                overage=record.overage,
                accepted_us=record.accepted_us,
                received_us=now_us,
                record=data,
                duplicate_of=duplicated,
                unattributed=record.unattributed if duplicated else belongs is None,
            )
        )
    transaction.append(lines, verdict.chains)
    transaction.put_key_uses(uses, elapsed_us)
    arrivals.keep()
    version = transaction.next_ledger_version(now_us)
    corrected = {key: amount for key, amount in corrected.items() if amount}
    transaction.add_to_counters(incarnation, counted, version, corrected)
    levels.write(version)
    return {**corrected, **burns.burn_rest()}, burns.holders


def _correct(corrected: Amounts, record: Record, belongs: Sequence[CounterKey] | None) -> None:
    """Have the plane move a record from where it was counted to where it belongs.

    That is nowhere for a duplicate; while it is unknown (`None`), the record stays where it is.
    """
    if belongs is None or belongs == record.counters:
        return
    for key in record.counters:
        corrected[key] -= record.quantity
    for key in belongs:
        corrected[key] += record.quantity
