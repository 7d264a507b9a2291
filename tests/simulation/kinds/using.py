"""Levels of a process on virtual time: changes decided now or once leases were got, and expiry."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sidecar.domain.errors import FieldError
from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.levels.changes import LevelChange
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US
from sidecar.engine.enforce import Replay
from sidecar.engine.level_calls import LevelAnswer
from sidecar.engine.levels import Levels
from sidecar.engine.needs import NOTHING, Needs
from sidecar.rpc.level_messages import encode_level_answer
from tests.simulation.leases.alarm import Alarm

if TYPE_CHECKING:
    from tests.simulation.kinds.sidecars import KindProcess

PATIENCE_US: Final = 500 * MILLISECOND_US
LOOK_US: Final = SECOND_US
ITEMS_AT_ONCE: Final = 20

Then = Callable[[str], None]
"""Told what was answered: a reason by name, REPLAYED, or that of an error."""


class Using:
    """Answers changes of levels, and takes back what is over."""

    def __init__(self, process: KindProcess) -> None:
        self._process = process
        self.levels = Levels(process.store, process.directory, process.status, encode_level_answer)
        self.levels.on_expiring = lambda: process.after(0, self.expire)
        self._alarm = Alarm(process, self.expire)

    def begin(self) -> None:
        """Take back what is over by now."""
        self.expire()

    def change(self, change: LevelChange, then: Then, patience_us: int = PATIENCE_US) -> None:
        """Answer a change, now or later."""
        self._run(change, NOTHING, self._process.ticks_us + patience_us, then)

    def _run(self, change: LevelChange, asked: Needs, until_us: int, then: Then) -> None:
        process = self._process
        try:
            result = self.levels.change(change, process.now_us, asked)
        except FieldError as error:
            then(error.reason)
            return
        if isinstance(result, Needs):
            self._get(change, asked, result, until_us, then)
            return
        process.pushing.wake()
        if isinstance(result, Replay):
            then("REPLAYED")
        else:
            assert isinstance(result, LevelAnswer)
            then(result.decision.reason.name)

    def _get(
        self, change: LevelChange, asked: Needs, needs: Needs, until_us: int, then: Then
    ) -> None:
        if needs.leases:

            def again(granted: bool) -> None:
                lacking = frozenset[LeaseNeed]() if granted else needs.leases
                got = replace(needs, leases=lacking, lease_tries=asked.lease_tries + 1)
                self._run(change, asked.with_more(got), until_us, then)

            self._process.leasing.fetch(needs.leases, until_us, again)
        else:  # snapshots and totals come by the watch, or are not to be had
            self._run(change, asked.with_more(needs), until_us, then)

    def expire(self) -> None:
        """Take back what is over, and look again once the next item is, or the clock may be set."""
        process = self._process
        expired = self.levels.expire(process.now_us, ITEMS_AT_ONCE)
        if expired.items:
            process.pushing.wake()
        if expired.next_us is None:
            return
        wait_us = min(LOOK_US, max(1, expired.next_us - process.now_us))
        self._alarm.set(process.ticks_us + wait_us)
