"""Plane status: what this process knows of the control plane, which every answer says.

Kept as a few plain numbers, since every call reads them.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.limits.reasons import Basis, BasisMode, FallbackCause
from sidecar.domain.limits.requests import Check
from sidecar.engine.lease_book import LeaseBook
from sidecar.engine.rate_sharing import RateSharing

_BASIS_STEP_US = 1_000


class PlaneStatus:
    """Contact, and clocks. `authority`: there is no plane, this process has the last word.

    `heard_us`: when the plane last spoke. `known_us`: when all that others had counted was last
    known here; it may speak, and yet not have told what was missed. `heard_since`: of a counter
    that was heard of at this version of the ledger or later no change was missed; `None`: nothing
    was heard. Instants are by the plane's clock.

    `part_heard`: companies of whose totals some are on their way still, and the version of the
    ledger as of which they were listed; of a counter that was heard of there or later, all is
    known. It changes on the store's thread.

    `machine_ahead_us`: how far the machine's clock is ahead of the time that decisions go by, at
    most an hour. Callers stamp what they ask by it. `remembered_us`: how far back idempotency keys
    are remembered, where less than promised; here since it is a part of every basis.

    `leases`: whether the plane grants leases; then exact limits are counted on by them alone, and
    `lease_book` says how they stand. Never where this process is the authority. `rate_sharing`: by
    which part of rates calls go.
    """

    def __init__(self, *, authority: bool) -> None:
        self.authority = authority
        self.heard_us: int | None = None
        self.known_us: int | None = None
        self.heard_since: int | None = None
        self.part_heard: dict[str, int] = {}
        self.machine_ahead_us = 0
        self.connected = False
        self.remembered_us: int | None = None
        self.leases = False
        self.lease_book = LeaseBook()
        self.rate_sharing = RateSharing()
        self._leased: dict[bool, Basis] = {}
        self._leased_of: Basis | None = None
        self._last: Basis | None = None
        self._last_version = -1
        self._last_from_us = self._last_until_us = 0

    def heard(self, now_us: int) -> None:
        """The plane has just answered; the instant is by the plane's clock."""
        self.heard_us = now_us
        self.connected = True

    def basis(self, version: int, now_us: int) -> Basis:
        """What a decision on a snapshot of this version is based on, at an instant."""
        if (
            self._last_from_us <= now_us < self._last_until_us
            and version == self._last_version
            and self._last is not None
        ):
            return self._last
        basis = self._last = self._basis(BasisMode.LOCAL, version, now_us)
        self._last_version = version
        self._last_from_us, self._last_until_us = now_us, now_us + _BASIS_STEP_US
        return basis

    def leased_basis(self, basis: Basis, company: str, *, exact: bool) -> Basis:
        """The same where leases decided. `exact`: by one of the limit that is named."""
        if basis is not self._leased_of:
            self._leased_of = basis
            self._leased = {
                known: msgspec.structs.replace(
                    basis, mode=BasisMode.LEASED, uncertainty=0 if known else None
                )
                for known in (False, True)
            }
        return self._leased[exact and self.lease_book.is_exact(company)]

    def unheard_basis(self, version: int, now_us: int) -> Basis:
        """The same where a counter was never heard of: what is known of it is as old as can be."""
        basis = self._basis(BasisMode.LOCAL, version, now_us)
        return msgspec.structs.replace(basis, plane_age_ms=max(0, now_us // 1000))

    def report_basis(self, company: str, version: int, now_us: int) -> Basis:
        """What a report on a company's usage is based on."""
        if company in self.part_heard:
            return self.unheard_basis(version, now_us)
        return self.basis(version, now_us)

    def may_lack(self, check: Check, now_us: int) -> bool:
        """Whether a check may count on a window that is over, or on what is still on its way."""
        is_late = check.event_time_us < now_us and not self.authority
        return is_late or check.company in self.part_heard

    def has_heard(self, version: int) -> bool:
        """Whether no change was missed of a counter that was last heard of at a version."""
        return self.heard_since is not None and version >= max(1, self.heard_since)

    def fallback_basis(self, now_us: int, cause: FallbackCause, version: int = 0) -> Basis:
        """What a decision of the fail policy is based on; how far it is off can't be said."""
        return self._basis(BasisMode.FALLBACK, version, now_us, cause)

    def silence_us(self, now_us: int) -> int:
        """How long the plane was not heard; 0 where this process is the authority."""
        if self.authority:
            return 0
        # Before the plane was ever heard, its age is that of the epoch: as old as can be.
        return max(0, now_us - (self.heard_us or 0))

    def _basis(
        self,
        mode: BasisMode,
        version: int,
        now_us: int,
        cause: FallbackCause = FallbackCause.NONE,
    ) -> Basis:
        if self.authority:
            exact = 0 if mode is BasisMode.LOCAL else None
            return Basis(mode, version, None, exact, cause, self.remembered_us)
        age_ms = max(0, now_us - (self.known_us or 0)) // 1000
        return Basis(mode, version, age_ms, None, cause, self.remembered_us)
