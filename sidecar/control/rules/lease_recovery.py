"""What is leased while a plane that lost state does not know yet what others hold.

Rules
- A database that knows fewer changes of leases than its witness is an older state. Who was granted
  anything since is known by the witness: of their leases alone this state does not know.
- In windows that had begun nothing is granted until all of them have reported, an operator has
  ended it, or the last window has ended that any of them was granted something of. Whatever windows
  those are: limits may count otherwise by now, on other windows of the same usage.
- A later life of a store reports for an earlier one where it knows its last request: an older copy
  does not know all that its original holds. Nor does it where it was made between that request and
  its answer: then all that the request might have been granted counts as held.
- Windows that begin later than leases are asked for ahead cannot have been leased yet.
- Where the witness is missing, nobody knows who holds what: it is waited for the windows' ends.
- Where the witness knows no more than the database, and a sidecar all the same shows that state was
  lost, both were restored: whoever is connected has a moment to report.
- LIFETIME limits, which no end of a window helps, wait as long as leases of silent holders do.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.storage.recovery_values import ExpectedHolder, LeaseRecovery, MissingHolders
from sidecar.control.storage.witness_port import Witnessed
from sidecar.domain.time.units import MINUTE_US
from sidecar.domain.time.windows import Window

AHEAD_US_MAX: Final = 10 * MINUTE_US
"""Leases of a window are granted so long before it opens at most."""


class Recovery(msgspec.Struct, frozen=True):
    """What is known of the last loss of state; `None` where there never was one."""

    last: LeaseRecovery | None
    missing: MissingHolders

    def withholds(self, window: Window, now_us: int) -> bool:
        """Whether nothing is granted in a window for the time being."""
        last = self.last
        if last is None or last.ended_us is not None or not self.may_have_been_leased(window):
            return False
        if window.never_ends and now_us >= last.lifetime_until_us:
            return False
        return self._is_any_open(last, now_us) or window.end_us <= self.missing.until_us

    def may_have_been_leased(self, window: Window) -> bool:
        """Whether leases of a window may have been granted that this state does not know of."""
        last = self.last
        return last is not None and window.start_us < last.restored_us + AHEAD_US_MAX

    def is_waiting(self, now_us: int) -> bool:
        """Whether anything is withheld of what has not ended yet."""
        last = self.last
        return last is not None and last.ended_us is None and self._is_any_open(last, now_us)

    def _is_any_open(self, last: LeaseRecovery, now_us: int) -> bool:
        """Whether somebody may hold what can still be counted, that this state does not know of."""
        missing = self.missing
        return max(missing.until_us, last.unknown_until_us) > now_us or (
            missing.has_lifetime and now_us < last.lifetime_until_us
        )


def begun(
    before: LeaseRecovery | None, restored_us: int, unknown_until_us: int, lifetime_us: int
) -> LeaseRecovery:
    """A loss of state that was found now.

    `before`: the last one, which goes on in it unless it has ended. `lifetime_us`: how long
    LIFETIME limits wait.
    """
    lifetime_until_us = restored_us + lifetime_us
    if before is not None and before.ended_us is None:
        unknown_until_us = max(unknown_until_us, before.unknown_until_us)
        lifetime_until_us = max(lifetime_until_us, before.lifetime_until_us)
    return LeaseRecovery(restored_us, unknown_until_us, lifetime_until_us)


def holders_since(seen: Witnessed, revision: int) -> list[ExpectedHolder]:
    """Who was granted anything that a database of this revision of leases does not know of."""
    return [
        ExpectedHolder(incarnation, holder.until_us, holder.has_lifetime, number=holder.number)
        for incarnation, holder in seen.holders.items()
        if holder.revision > revision
    ]
