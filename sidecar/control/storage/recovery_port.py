"""The part of the port that is about recovery of leases; see `port.py` for what holds for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from sidecar.control.storage.recovery_values import ExpectedHolder, LeaseRecovery, MissingHolders


class RecoveryReads(Protocol):
    """Questions about recovery."""

    def is_witnessed(self) -> bool:
        """Whether there ever was a witness of leases beside the database."""
        ...

    def lease_recovery(self) -> LeaseRecovery | None:
        """That an older state was found the last time; `None` where none ever was."""
        ...

    def missing_holders(self) -> MissingHolders:
        """Those who have not reported, as one."""
        ...

    def expected_holders(self, *, reported: bool, limit: int) -> list[ExpectedHolder]:
        """Those who have, or have not, in the order of their incarnations."""
        ...

    def heard_lately(self, within_us: int) -> list[str]:
        """Incarnations heard within so long before the last that was heard; at most 4,096."""
        ...

    def holders_of_leases(self) -> list[ExpectedHolder]:
        """Everyone of whom there is a lease, and of which windows; goes through all leases."""
        ...


class RecoveryWrites(RecoveryReads, Protocol):
    """Changes of it."""

    def note_witnessed(self) -> None:
        """There is a witness of leases beside the database from now on."""
        ...

    def put_lease_recovery(self, recovery: LeaseRecovery) -> None:
        """Replace what is known of the last one."""
        ...

    def put_expected_holders(self, holders: Iterable[ExpectedHolder]) -> None:
        """Let these be the expected holders, and no others."""
        ...

    def note_reported(self, reporter: str, numbers: Mapping[str, int]) -> None:
        """Of these incarnations all was said, by a reporter, up to these numbers of requests.

        Those that are expected and known to have asked later are still missing.
        """
        ...

    def raise_lease_revision(self, revision: int) -> None:
        """Move the revision of leases up to this, unless it is there."""
        ...
