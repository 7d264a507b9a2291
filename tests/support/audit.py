"""Holds the ledger against the books of the load: what is lost, doubled, or was never asked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from sidecar.api.control.v1 import control_pb2
from tests.support import ledger
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.load import Books, Call
from tests.support.processes import ProcessFailed, until


@dataclass(slots=True)
class Findings:
    """What is wrong with a ledger, by the numbers of calls. Empty if nothing is."""

    lost: list[int] = field(default_factory=list)
    """Answered as allowed, but not counted in the ledger."""
    doubled: list[int] = field(default_factory=list)
    """Counted more than once."""
    renamed: list[int] = field(default_factory=list)
    """Counted under another record id than the answer named."""
    altered: list[int] = field(default_factory=list)
    """In the ledger with other contents than were asked for."""
    denied: list[int] = field(default_factory=list)
    """Answered as denied, or refused, but in the ledger."""
    uncalled: list[str] = field(default_factory=list)
    """Ids of lines that no call asked for."""
    wrong: list[str] = field(default_factory=list)
    """Answers that no sidecar may give."""


CLEAN: Final = Findings()


def audit(
    books: Books, lines: Iterable[control_pb2.LedgerRecord], *, ids_kept: bool = True
) -> Findings:
    """Compare. `ids_kept=False`: records may be in the ledger under another incarnation's ids.

    One without an idempotency key then has its former id as one.
    """
    findings = Findings(wrong=books.wrong[:10])
    of_call: dict[int, list[control_pb2.LedgerRecord]] = defaultdict(list)
    for line in lines:
        number = int(line.metadata["call"]) if "call" in line.metadata else -1
        if 0 <= number < len(books.calls):
            of_call[number].append(line)
        else:
            findings.uncalled.append(line.id)
    for call in books.calls:
        _audit_call(findings, call, of_call[call.number], ids_kept)
    return findings


async def assert_exact(
    books: Books, plane: ControlPlane, *sidecars: Sidecar, ids_kept: bool = True
) -> list[control_pb2.LedgerRecord]:
    """Flush, then compare books, ledger, sums and counters on both sides; the ledger's lines."""
    for sidecar in sidecars:
        await ledger.flush(sidecar)
    lines = await ledger.ledger_lines(plane)
    print(f"{books.summary()}, {len(lines)} lines, {duplicates(lines)} of them duplicates")
    findings = audit(books, lines, ids_kept=ids_kept)
    assert CLEAN == findings, findings
    assert _sums(lines) == await ledger.ledger_sums(plane)
    at_us = ledger.now_us()
    used = await ledger.used_by_plane(plane, at_us)
    assert ledger.used_by_lines(lines) == ledger.without_months(used)
    for sidecar in sidecars:
        await _assert_same_counters(sidecar, at_us, used)
    return lines


def duplicates(lines: Iterable[control_pb2.LedgerRecord]) -> int:
    """How many lines were found to repeat another, and are not counted."""
    return sum(bool(line.duplicate_of) for line in lines)


async def _assert_same_counters(
    sidecar: Sidecar, at_us: int, used: dict[ledger.CounterName, int]
) -> None:
    """A sidecar says the same as the plane, once it has heard of the others' last usage."""
    said: dict[ledger.CounterName, int] = {}

    async def same() -> bool:
        nonlocal said
        said = await ledger.used_by_sidecar(sidecar, at_us)
        return said == used

    with suppress(ProcessFailed):
        await until(same, "the counters differ")
    differences = sorted(set(used.items()) ^ set(said.items()))
    assert [] == differences, differences[:20]


def _sums(lines: Iterable[control_pb2.LedgerRecord]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for line in lines:
        sums[line.feature] += 0 if line.duplicate_of else line.quantity
    return dict(sums)


def _audit_call(
    findings: Findings, call: Call, lines: Sequence[control_pb2.LedgerRecord], ids_kept: bool
) -> None:
    counted = [line for line in lines if not line.duplicate_of]
    if call.record_id and not counted:
        findings.lost.append(call.number)
    if len(counted) > 1:
        findings.doubled.append(call.number)
    same_id = ids_kept and not call.may_be_renamed
    if call.record_id and same_id and [call.record_id] != [line.id for line in lines]:
        findings.renamed.append(call.number)
    if (call.refused or (call.answered and not call.record_id)) and lines:
        findings.denied.append(call.number)
    if any(_altered(call, line, ids_kept) for line in lines):
        findings.altered.append(call.number)


def _altered(call: Call, line: control_pb2.LedgerRecord, ids_kept: bool) -> bool:
    user = dict(line.dimensions).get("user", "")  # a message's map invents what it lacks
    if (call.company, call.feature, call.quantity, call.user) != (
        line.company,
        line.feature,
        line.quantity,
        user,
    ):
        return True
    return line.idempotency_key != call.key and (ids_kept or bool(call.key))
