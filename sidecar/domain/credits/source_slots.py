"""What the sources of a balance are called as counters, where they are no limits'.

A grant counts in its own slot, in the window in which it can be spent; what is owed in another, for
ever. Limits of the credits feature are counters as all limits are (`limits/counters.py`). None of
the slots is one that `slot_of` writes, so nobody takes a grant for a limit of before.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.credits.grants import CreditGrant
from sidecar.domain.limits.counters import CounterRef, escaped, unescaped
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window

OVERDRAFT_SLOT: Final = "OVERDRAFT"
_GRANT: Final = "GRANT|"


def grant_slot(grant_id: str) -> str:
    """The slot of a grant, such as `GRANT|welcome`."""
    return _GRANT + escaped(grant_id)


def grant_in(slot: str) -> str | None:
    """The id of the grant whose slot it is; `None` where it is no grant's."""
    return unescaped(slot.removeprefix(_GRANT)) if slot.startswith(_GRANT) else None


def is_of_balance(slot: str) -> bool:
    """Whether a slot is a grant's or that of what is owed, and so no limit's."""
    return slot == OVERDRAFT_SLOT or slot.startswith(_GRANT)


def counter_of_grant(grant: CreditGrant) -> CounterRef:
    """The counter of a grant. Without an expiry its window has no end, as LIFETIME's."""
    return CounterRef(grant_slot(grant.id), (), Window(grant.effective_us, grant.expires_us))


OVERDRAFT_COUNTER: Final = CounterRef(OVERDRAFT_SLOT, (), LIFETIME_WINDOW)
