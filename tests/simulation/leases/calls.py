"""Calls of applications to a sidecar: decided at once, or once what they need was got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from sidecar.domain.errors import FieldError
from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import MILLISECOND_US
from sidecar.engine.enforce import Answer, Replay
from sidecar.engine.needs import NOTHING, Needs
from sidecar.storage.transaction import Transaction
from tests.simulation.leases.book import ATTEMPT, CHECK, KIND, REPORT

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Process

FETCH_US_MAX: Final = 500 * MILLISECOND_US
PART_OF_REMAINING: Final = 0.75
_ALLOWED: Final = Reason.ALLOWED


class Call(msgspec.Struct, frozen=True):
    """What an application asks. `late_us`: how long ago it happened. `key`: empty for none.

    `model`: empty for none, as `user` is.
    """

    attempt: str
    company: str
    feature: str
    quantity: int
    user: str
    key: str = ""
    mode: GrantMode = GrantMode.ALL_OR_NOTHING
    late_us: int = 0
    patience_us: int = 1_000 * MILLISECOND_US
    model: str = ""


class Told(msgspec.Struct, frozen=True):
    """What an application was answered, and by which limit it was denied.

    `waited`: the plane was asked first. `stale_us`: how old what was known of others was.
    """

    call: Call
    allowed: bool
    granted: int
    reason: Reason | None
    waited: bool
    binding: QuotaUsage | None = None
    stale_us: int = 0


class Calls:
    """The calls of a process that are under way."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def begin(self, call: Call) -> None:
        """Answer a call, now or later."""
        patience_us = min(FETCH_US_MAX, int(call.patience_us * PART_OF_REMAINING))
        self._run(call, NOTHING, self._process.ticks_us + patience_us, waited=False)

    def _run(self, call: Call, asked: Needs, until_us: int, *, waited: bool) -> None:
        try:
            result = self._decide(call, asked)
        except FieldError:
            self._tell(Told(call, False, 0, None, waited))
            return
        if isinstance(result, Needs):
            self._get(call, asked, result, until_us)
            return
        stale_us = self._stale_us()
        if isinstance(result, Answer):
            decision = result.decision
            binding = decision.binding if isinstance(decision.binding, QuotaUsage) else None
            told = Told(
                call,
                decision.allowed,
                decision.granted,
                decision.reason,
                waited,
                None if decision.allowed else binding,
                stale_us,
            )
            self._tell(told)
        else:  # counted on the short way, or before
            self._tell(Told(call, True, call.quantity, _ALLOWED, waited, None, stale_us))

    def _stale_us(self) -> int:
        """How old what is known of others is; 0 before anything was heard."""
        known_us = self._process.status.known_us
        return 0 if known_us is None else max(0, self._process.now_us - known_us)

    def _decide(self, call: Call, asked: Needs) -> Answer | Replay | Needs | bytes:
        process = self._process
        now_us = process.now_us
        named = {"user": call.user, "model": call.model}
        dimensions = {name: value for name, value in named.items() if value}
        is_report = call.mode is GrantMode.RECORD_ONLY
        metadata = {ATTEMPT: call.attempt, KIND: REPORT if is_report else CHECK}
        check = Check(
            call.company,
            call.feature,
            call.quantity,
            now_us - call.late_us,
            call.mode,
            call.key,
            dimensions,
            metadata,
        )
        is_plain = call.mode is GrantMode.ALL_OR_NOTHING and not call.late_us

        def step(transaction: Transaction) -> Answer | Replay | Needs | bytes:
            usual = None
            if is_plain:
                usual = process.usual.answer(
                    transaction,
                    call.company,
                    call.feature,
                    call.quantity,
                    call.key,
                    dimensions,
                    metadata,
                    now_us,
                )
            return usual or process.enforcer.check_and_increment(check, now_us, asked)

        return process.store.transact(step)

    def _get(self, call: Call, asked: Needs, needs: Needs, until_us: int) -> None:
        """Get what is needed, and decide with what could be had."""
        process = self._process
        if needs.leases:

            def again(granted: bool) -> None:
                lacking = frozenset[LeaseNeed]() if granted else needs.leases
                got = replace(needs, leases=lacking, lease_tries=asked.lease_tries + 1)
                self._run(call, asked.with_more(got), until_us, waited=True)

            process.leasing.fetch(needs.leases, until_us, again)
        else:  # snapshots and totals come by the watch, or are not to be had
            self._run(call, asked.with_more(needs), until_us, waited=False)

    def _tell(self, told: Told) -> None:
        process = self._process
        if told.granted:
            process.pushing.wake()
        process.world.answered(process, told)
