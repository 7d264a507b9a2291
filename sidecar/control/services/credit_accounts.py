"""Where the amounts of a balance's sources are: what of each is used, leased, left or gone.

    amount + overcommitted = burned + lost + leased + left + expired + voided

What is used is on the source's counter, and what is leased on its leases; so all of it is worked
out where it is asked for, and adds up by itself. A void is complete once nothing is leased: until
then holders may burn it, and what they do was counted before it. With the window's end leases end:
what nobody is known to have burned has expired then, and what was burned before and is told later
comes off that.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.storage.credit_values import StoredGrant
from sidecar.control.storage.lease_values import LeaseLook
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey

_ANYBODY: Final = LeaseLook(CORRECTIONS, 0, 0)
"""The plane itself holds no lease, so all others' are everybody's."""


class SourceAccount(msgspec.Struct, frozen=True):
    """Where the amount of a source is, in micro-credits; see above for how it adds up.

    `burned`: by usage, refunds taken off. `lost`: refunded when it could not return. `leased`: what
    sidecars may burn still, and have not told; of a window that is over nothing. `left`: can be
    leased. `overcommitted`: how much more is used and leased than there is.
    """

    amount: int
    burned: int = 0
    lost: int = 0
    leased: int = 0
    left: int = 0
    expired: int = 0
    voided: int = 0
    overcommitted: int = 0

    @property
    def unburned(self) -> int:
        """What of it nobody is known to have burned, and may be; never below 0."""
        return max(0, self.left + self.leased - self.overcommitted)


def account_of(
    transaction: ReadTransaction,
    key: CounterKey,
    amount: int,
    now_us: int,
    *,
    is_voided: bool = False,
    elsewhere: int = 0,
) -> SourceAccount:
    """The account of a source by its counter. `elsewhere`: what is leased on counters of before."""
    found = transaction.lease_account(key, _ANYBODY)
    lost = transaction.credit_losses([key]).get(key, 0)
    is_over = key.counter.window.end_us <= now_us and not key.counter.window.never_ends
    leased = 0 if is_over else found.outstanding_of_others + elsewhere
    rest = amount - found.used - leased
    account = SourceAccount(
        amount, found.used - lost, lost, leased, overcommitted=max(0, -rest), left=max(0, rest)
    )
    if is_voided:
        return msgspec.structs.replace(account, voided=account.left, left=0)
    if is_over:
        return msgspec.structs.replace(account, expired=account.left, left=0)
    return account


def account_of_grant(
    transaction: ReadTransaction, stored: StoredGrant, now_us: int
) -> SourceAccount:
    """The account of a one-off grant. A void takes nothing of one that had expired."""
    voided_us = stored.voided_us
    is_voided = voided_us is not None and voided_us < stored.grant.expires_us
    return account_of(transaction, stored.key, stored.grant.amount, now_us, is_voided=is_voided)
