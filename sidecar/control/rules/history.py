"""Whether a sidecar's history is the one that the plane knows.

Rules
- chain(n) = SHA-256(chain(n - 1) || record(n)), from 32 zero bytes. So where two histories have
  the same chain at a sequence, they are the same up to there.
- What lies at or below the watermark is in the ledger already. If it is the same, it is skipped;
  if not, two stores write under one incarnation: a clone, or a restored disk.
- A gap is asked for, whatever else holds: what is missing may still be at the sidecar.
- Once fenced, an incarnation takes no more records. What is known is still skipped, run by run, and
  the first run that has more is answered with what is common: a sidecar offers the rest again.
- A sidecar is told of no more than it has shown to have itself, by a run or by a chain. What lies
  between there and the watermark may be the records of its clone.
- The watermark can never be above what a sidecar has written, nor below what it was told. Either
  means that one of the two has lost state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

import msgspec

from sidecar.control.storage.values import FIRST_CHAIN, KnownIncarnation


class Run(msgspec.Struct, frozen=True):
    """Records of an incarnation without a gap, the first at `first_sequence` (at least 1).

    `previous_chain`: the chain before them.
    """

    first_sequence: int
    previous_chain: bytes
    records: Sequence[bytes]

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record."""
        return self.first_sequence + len(self.records) - 1


class RunAccepted(msgspec.Struct, frozen=True):
    """The run fits. The first `known` records are in the ledger already.

    `chains`: at each of the others.
    """

    known: int
    chains: Sequence[bytes]


class HistoryGap(msgspec.Struct, frozen=True):
    """Records before the run are missing."""

    expected_sequence: int


class Diverged(msgspec.Struct, frozen=True):
    """The run is to be refused and the incarnation fenced. Up to `common_sequence` all is equal.

    It is 0 where not even what comes before the run is known to be equal: better to be offered too
    much again than too little.
    """

    common_sequence: int


Verdict: TypeAlias = RunAccepted | HistoryGap | Diverged


class Greeting(msgspec.Struct, frozen=True):
    """What a sidecar says of its history.

    `last_sequence` and `last_chain`: of its last record; the chain is empty where an older program
    does not tell. `acknowledged_sequence` and `acknowledged_chain`: where it knows the plane to be.
    """

    last_sequence: int
    acknowledged_sequence: int
    acknowledged_chain: bytes
    last_chain: bytes = b""


class Greeted(msgspec.Struct, frozen=True):
    """What a greeting has shown: up to `common_sequence` both have the same records."""

    common_sequence: int
    fenced: bool


def chains_to_compare(known: KnownIncarnation, run: Run) -> tuple[int, int]:
    """First and last sequence at which `judge_run` looks at stored chains; none if first > last.

    The chain before the first record and the one at the watermark are known without a look.
    """
    return max(run.first_sequence - 1, 1), min(run.last_sequence, known.watermark - 1)


def judge_run(known: KnownIncarnation, run: Run, stored: Mapping[int, bytes]) -> Verdict:
    """Say what is to become of a run. `stored`: chains in the range of `chains_to_compare`."""
    before = run.first_sequence - 1
    if before > known.watermark:
        return HistoryGap(known.watermark + 1)
    chains = _chains(run)
    overlap = min(run.last_sequence, known.watermark)
    for sequence in range(overlap, before - 1, -1):
        if chains[sequence - before] == _chain_at(known, sequence, stored):
            break
    else:
        return Diverged(0)
    if sequence < overlap or (known.fenced and overlap < run.last_sequence):
        return Diverged(sequence)
    return RunAccepted(overlap - before, chains[overlap - before + 1 :])


def judge_greeting(
    known: KnownIncarnation, greeting: Greeting, stored: Mapping[int, bytes]
) -> Greeted:
    """Say what is common, and whether the incarnation has to end.

    Records that were not acknowledged must be neither lost nor taken twice. So where only they can
    tell what is common, the incarnation goes on to its next push, which is refused with the answer.
    `stored`: the chains at the acknowledged and at the last sequence.
    """
    acknowledged, last = greeting.acknowledged_sequence, greeting.last_sequence
    if acknowledged > known.watermark:
        return Greeted(acknowledged, fenced=True)
    if acknowledged and greeting.acknowledged_chain != _chain_at(known, acknowledged, stored):
        return Greeted(acknowledged, fenced=True)
    common = acknowledged
    if last <= known.watermark and greeting.last_chain == _chain_at(known, last, stored):
        common = last
    ends = known.fenced or known.watermark > last
    return Greeted(common, fenced=ends and common == last)


def _chains(run: Run) -> list[bytes]:
    """The chain before the run, and at each of its records."""
    chain = run.previous_chain
    chains = [chain]
    for record in run.records:
        chain = sha256(chain + record).digest()
        chains.append(chain)
    return chains


def _chain_at(known: KnownIncarnation, sequence: int, stored: Mapping[int, bytes]) -> bytes | None:
    if sequence == known.watermark:
        return known.head
    return stored.get(sequence) if sequence else FIRST_CHAIN
