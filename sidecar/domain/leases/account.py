"""What a plane answers to a request for a lease: the equation of one counter. Pure.

    ceiling = available + outstanding + used

Rules
- Outstanding is also what is leased on counters that the limit had before (`outstanding_before`).
- A request says all: `held` is what its caller may still reach, so what the plane had granted
  beyond that comes back with it. It keeps what is below, what it has counted, and what it has
  reported.
- What is counted of a level falls, too. Who has taken back what it has not reported yet says so by
  `used`, and keeps no more than it says to hold: the rest is had by others once that was reported.
- The same number is answered alike and grants nothing again; a smaller one is not answered.
- Who says to hold more than was granted is refused: nothing moves. Who has counted more than it
  holds has to report it first: until then nobody knows what is left.
- Beyond what a call waits for, no more is granted than a part of what is available, the smaller the
  more sidecars ask: so all get something, and leases shrink towards the limit.
- For longer than a while a lease does where much is left: then the plane may be away.
- What was granted by a greater amount than the limit has now, and is more than there is, comes back
  first: until then it keeps that amount, under which its holder spends nothing. A level may fall
  below what it was granted, so of it that is so also where all is in use yet.
- A lease that was given up (`released`) is granted anew, as far as there is something.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import is_level

_PART: Final = 2
_PART_AHEAD: Final = 32
"""For a while nobody is granted more than the one part of what is available for each who asks, and
for longer, so that the plane may be away, the other: what a sidecar that is gone for good has taken
along is lost to the window."""
EXHAUSTED_RETRY_MS: Final = 100
WITHHELD_RETRY_MS: Final = 1_000
RECALLING_RETRY_MS: Final = 25
"""About as long as a recall takes: a message there, one back."""


class LeaseAccount(msgspec.Struct, frozen=True):
    """A counter's account before a request, in the feature's unit; see `model.py`.

    `used`: by all, corrections included. `own`: by the incarnation that asks. `granted`, `number`,
    `amount`, `valid_until_us`: of its lease; 0 where it has none, and `released` where its lease
    was given up, so that it has to be granted anew. `outstanding_of_others`: what others may count
    still. `active_others`: how many of them asked lately. `all_know_leases`: whether nobody counts
    on it without leases. `since_us`: since when anything of its lease is outstanding.
    """

    used: int = 0
    own: int = 0
    granted: int = 0
    number: int = 0
    amount: int = 0
    valid_until_us: int = 0
    since_us: int = 0
    released: bool = False
    outstanding_of_others: int = 0
    active_others: int = 0
    all_know_leases: bool = True

    def available(self, ceiling: int, base: int) -> int:
        """What may be granted beyond `base`, up to which the caller may count; perhaps below 0."""
        return ceiling - self.used - self.outstanding_of_others - (base - self.own)


class GrantingTerms(msgspec.Struct, frozen=True):
    """By what a counter's leases are granted.

    `ceiling`: what may be used in the window, with what was carried into it and packs. `amount`: of
    the limit. `withheld`: why nothing is granted for now (RECALLING or RECOVERING); `None`: it is.
    `retry_after_ms`: how long that is likely to take. `outstanding_before`: what may still be
    counted under leases on counters that the limit had before, and counts here then.
    """

    ceiling: int
    amount: int
    valid_until_us: int
    withheld: LeaseStatus | None = None
    retry_after_ms: int = 0
    outstanding_before: int = 0


class LeaseVerdict(msgspec.Struct, frozen=True):
    """What becomes of a request.

    `kept`: whether the lease is as the result says from now on; else nothing has changed.
    `lacking`: how much others would have to give back, where the result is EXHAUSTED; 0 where the
    limit itself is no larger. `is_lowered`: the caller holds more than there is, by a greater
    amount than there is now.
    """

    result: LeaseResult
    kept: bool = False
    lacking: int = 0
    is_lowered: bool = False


def judge(
    request: LeaseRequest, account: LeaseAccount, terms: GrantingTerms | None
) -> LeaseVerdict:
    """Answer a request by a counter's account. `terms`: `None` where nothing is leased of it.

    Whether those who hold what is lacking can be asked to give it back is for the caller to see.
    """
    if request.number < account.number:
        return LeaseVerdict(LeaseResult(request.number, LeaseStatus.SUPERSEDED))
    repeated = request.number == account.number
    granted = account.granted if account.number else min(0, account.own)
    if not repeated and request.held > max(granted, account.own):
        return LeaseVerdict(LeaseResult(request.number, LeaseStatus.REFUSED))
    # What it has counted and not reported is outstanding, though it may have forgotten its lease.
    held = min(0, request.used) if account.released else max(request.held, request.used)
    counted = account.own
    if is_level(request.counter.counter.slot):
        counted = min(counted, request.used)
    base = granted if repeated else max(min(held, granted), counted)
    if terms is None:
        known = account.number > 0 and not repeated
        result = LeaseResult(
            request.number,
            LeaseStatus.GONE,
            base,
            account.valid_until_us,
            amount=account.amount,
        )
        return LeaseVerdict(result, kept=known)
    return _Judge(request, account, terms, base, repeated=repeated).verdict()


class _Judge:
    """Judges a request of which it is certain what its caller may count on already: `base`."""

    def __init__(
        self,
        request: LeaseRequest,
        account: LeaseAccount,
        terms: GrantingTerms,
        base: int,
        *,
        repeated: bool,
    ) -> None:
        self._request = request
        self._account = account
        self._terms = terms
        self._base = base
        self._repeated = repeated

    def verdict(self) -> LeaseVerdict:
        request, account, terms, base = self._request, self._account, self._terms, self._base
        if request.used > base:
            return self._answer(LeaseStatus.BEHIND)
        needed = max(0, request.used + request.need - base)
        if self._repeated:
            return self._answer(LeaseStatus.GRANTED) if not needed else self._short(needed)
        if self._is_lowered:
            status = LeaseStatus.RECALLING if request.need else LeaseStatus.GRANTED
            return self._answer(status, retry_after_ms=RECALLING_RETRY_MS)
        wanted = max(needed, request.used + request.want - base)
        if wanted and terms.withheld is not None:
            status = terms.withheld if needed else LeaseStatus.GRANTED
            return self._answer(status, retry_after_ms=terms.retry_after_ms)
        available = min(self._available, INT64_MAX - base)
        if needed > max(0, available):
            return self._short(needed)
        # Rounded up: else each of the last units would take a call's wait.
        available, active = max(0, available), account.active_others + 1
        share = -(-available // (_PART * active))
        ahead = min(request.used + request.ahead - base, available // (_PART_AHEAD * active))
        return self._answer(LeaseStatus.GRANTED, extra=max(needed, min(wanted, share), ahead))

    @property
    def _is_lowered(self) -> bool:
        """Whether the caller holds more than there is, by a greater amount than there is now."""
        return self._base > self._request.used and self._is_too_much

    @property
    def _is_too_much(self) -> bool:
        """Whether there is more of it than there may be, by a greater amount than there is now."""
        return self._account.amount > self._terms.amount and self._available < 0

    @property
    def _available(self) -> int:
        ceiling = self._terms.ceiling - self._terms.outstanding_before
        return self._account.available(ceiling, self._base)

    def _short(self, needed: int) -> LeaseVerdict:
        """Less is left than is needed. What is lacking may be at others."""
        lacking = needed - self._available
        if self._repeated and lacking <= 0:  # it came back meanwhile, for another number
            return self._answer(LeaseStatus.RECALLING, retry_after_ms=RECALLING_RETRY_MS)
        verdict = self._answer(LeaseStatus.EXHAUSTED, retry_after_ms=EXHAUSTED_RETRY_MS)
        held = self._account.outstanding_of_others + self._terms.outstanding_before
        at_others = lacking if 0 < lacking <= held else 0
        return msgspec.structs.replace(verdict, lacking=at_others)

    def _answer(
        self, status: LeaseStatus, *, extra: int = 0, retry_after_ms: int = 0
    ) -> LeaseVerdict:
        account, terms = self._account, self._terms
        falls = is_level(self._request.counter.counter.slot)
        old = self._repeated or self._is_lowered or (falls and self._is_too_much)
        result = LeaseResult(
            self._request.number,
            status,
            self._base + extra,
            account.valid_until_us if self._repeated else terms.valid_until_us,
            account.all_know_leases,
            0 if status is LeaseStatus.GRANTED else retry_after_ms,
            account.amount if old else terms.amount,
        )
        return LeaseVerdict(result, kept=not self._repeated, is_lowered=self._is_lowered)
