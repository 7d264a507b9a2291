"""What becomes of a run and of a greeting: each row is named by its outcome."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.control.rules.history import (
    Diverged,
    Greeted,
    Greeting,
    HistoryGap,
    Run,
    RunAccepted,
    Verdict,
    chains_to_compare,
    judge_greeting,
    judge_run,
)
from sidecar.control.storage.values import KnownIncarnation
from tests.unit.control.support import ALICE, Writer

_KNOWN_UP_TO = 5


def _writer(*records: bytes) -> Writer:
    writer = Writer()
    writer.write(*records)
    return writer


ORIGINAL = _writer(*(b"r%d" % at for at in range(1, 11)))
CLONE_FROM_4 = _writer(*ORIGINAL.records[:3], b"c4", b"c5", b"c6", b"c7")
CLONE_FROM_6 = _writer(*ORIGINAL.records[:5], b"c6", b"c7")
STRANGER = _writer(*(b"s%d" % at for at in range(1, 11)))


def _known(watermark: int = _KNOWN_UP_TO, fenced: bool = False) -> KnownIncarnation:
    return KnownIncarnation(ALICE, watermark, ORIGINAL.chains[watermark], fenced)


def _judge(known: KnownIncarnation, run: Run) -> Verdict:
    """Judge with the chains that the rules ask for, and no others."""
    first, last = chains_to_compare(known, run)
    stored = {at: ORIGINAL.chains[at] for at in range(first, last + 1)}
    return judge_run(known, run, stored)


def _accepted(known: int, first: int, last: int) -> RunAccepted:
    return RunAccepted(known, ORIGINAL.chains[first : last + 1])


RUNS = {
    "the first of all is accepted": (_known(0), ORIGINAL.run(1, 3), _accepted(0, 1, 3)),
    "the next is accepted": (_known(), ORIGINAL.run(6, 8), _accepted(0, 6, 8)),
    "a retry is known": (_known(), ORIGINAL.run(1, 5), _accepted(5, 6, 5)),
    "an old retry is known": (_known(), ORIGINAL.run(2, 3), _accepted(2, 4, 3)),
    "an overlap is accepted from the watermark on": (
        _known(),
        ORIGINAL.run(4, 7),
        _accepted(2, 6, 7),
    ),
    "a gap is asked for": (_known(), ORIGINAL.run(7, 8), HistoryGap(6)),
    "a gap at the start is asked for": (_known(0), ORIGINAL.run(2, 3), HistoryGap(1)),
    "a gap of a clone is asked for": (_known(), STRANGER.run(7, 8), HistoryGap(6)),
    "a gap of a fenced one is asked for": (_known(fenced=True), ORIGINAL.run(7, 8), HistoryGap(6)),
    "a clone right above the watermark goes on": (
        _known(),
        CLONE_FROM_6.run(6, 7),
        RunAccepted(0, CLONE_FROM_6.chains[6:8]),
    ),
    "a clone across the watermark is fenced where it parted": (
        _known(),
        CLONE_FROM_4.run(3, 7),
        Diverged(3),
    ),
    "a clone below the watermark is fenced where it parted": (
        _known(),
        CLONE_FROM_4.run(2, 5),
        Diverged(3),
    ),
    "a clone with nothing in common in the run has to offer all again": (
        _known(),
        CLONE_FROM_4.run(5, 6),
        Diverged(0),
    ),
    "another chain before the next run has to offer all again": (
        _known(),
        STRANGER.run(6, 8),
        Diverged(0),
    ),
    "another chain before the first record is fenced at 0": (
        _known(0),
        msgspec.structs.replace(ORIGINAL.run(1, 2), previous_chain=b"\x01" * 32),
        Diverged(0),
    ),
    "of a fenced one what is known is skipped": (
        _known(fenced=True),
        ORIGINAL.run(3, 5),
        RunAccepted(3, []),
    ),
    "a fenced one is told what the plane lacks": (
        _known(fenced=True),
        ORIGINAL.run(6, 8),
        Diverged(5),
    ),
    "a fenced clone is told where it parted": (
        _known(fenced=True),
        CLONE_FROM_4.run(2, 6),
        Diverged(3),
    ),
}


@pytest.mark.parametrize(("known", "run", "expected"), RUNS.values(), ids=RUNS)
def test_a_run(known: KnownIncarnation, run: Run, expected: Verdict) -> None:
    assert expected == _judge(known, run)


def _greeting(last: int, acknowledged: int, writer: Writer = ORIGINAL) -> Greeting:
    return Greeting(last, acknowledged, writer.chains[acknowledged], writer.chains[last])


_OLDER_PROGRAM = Greeting(4, 2, ORIGINAL.chains[2])

GREETINGS = {
    "a new one goes on": (KnownIncarnation(ALICE), Greeting(0, 0, b""), Greeted(0, False)),
    "a new one with records goes on": (KnownIncarnation(ALICE), _greeting(9, 0), Greeted(0, False)),
    "one that is up to date goes on": (_known(), _greeting(5, 5), Greeted(5, False)),
    "one with an outbox goes on": (_known(), _greeting(9, 5), Greeted(5, False)),
    "one that missed an answer is told of what it has shown": (
        _known(),
        _greeting(9, 2),
        Greeted(2, False),
    ),
    "one that missed every answer is told of all": (_known(), _greeting(5, 0), Greeted(5, False)),
    "a clone across the watermark is told of what it has shown": (
        _known(),
        _greeting(6, 2, CLONE_FROM_4),
        Greeted(2, False),
    ),
    "a restored disk ends, and nothing of it is offered again": (
        _known(),
        _greeting(4, 2),
        Greeted(4, True),
    ),
    "a restored disk with an empty outbox ends": (_known(), _greeting(4, 4), Greeted(4, True)),
    "a restored disk without records ends": (_known(), Greeting(0, 0, b""), Greeted(0, True)),
    "a clone below the watermark learns by its push": (
        _known(),
        _greeting(4, 2, CLONE_FROM_4),
        Greeted(2, False),
    ),
    "a restored disk of an older program learns by its push": (
        _known(),
        _OLDER_PROGRAM,
        Greeted(2, False),
    ),
    "a restored plane ends it": (_known(), _greeting(9, 7), Greeted(7, True)),
    "a plane that lost everything ends it": (
        KnownIncarnation(ALICE),
        _greeting(9, 7),
        Greeted(7, True),
    ),
    "another history ends": (_known(), _greeting(9, 4, STRANGER), Greeted(4, True)),
    "another history at the watermark ends": (
        _known(),
        _greeting(9, 5, STRANGER),
        Greeted(5, True),
    ),
    "a fenced one with an outbox learns by its push": (
        _known(fenced=True),
        _greeting(9, 5),
        Greeted(5, False),
    ),
    "a fenced one with an empty outbox ends": (
        _known(fenced=True),
        _greeting(5, 5),
        Greeted(5, True),
    ),
    "a fenced one that missed an answer ends": (
        _known(fenced=True),
        _greeting(5, 2),
        Greeted(5, True),
    ),
}


@pytest.mark.parametrize(("known", "greeting", "expected"), GREETINGS.values(), ids=GREETINGS)
def test_a_greeting(known: KnownIncarnation, greeting: Greeting, expected: Greeted) -> None:
    asked = (greeting.acknowledged_sequence, greeting.last_sequence)
    stored = {at: ORIGINAL.chains[at] for at in asked if 0 < at <= known.watermark}
    assert expected == judge_greeting(known, greeting, stored)
