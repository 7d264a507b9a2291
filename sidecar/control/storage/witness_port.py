"""The witness of leases: what a database that was restored from a backup cannot know of itself.

It stands beside the database and is written after each commit that grants, before the answer
leaves. So a database that knows less than its witness is an older state; and the witness says who
was granted what that state has forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class WitnessedHolder(msgspec.Struct, frozen=True):
    """When an incarnation was last granted anything, and of what.

    `revision`: of leases, by then. `until_us`: latest end of a window that it ever was granted
    anything of; 0 for none that ends. `has_lifetime`: whether it was of a LIFETIME window, too.
    `number`: of its last request by then.
    """

    revision: int
    until_us: int = 0
    has_lifetime: bool = False
    number: int = 0

    def joined(self, later: WitnessedHolder | None) -> WitnessedHolder:
        """What is known with something else, whichever came first."""
        if later is None:
            return self
        return WitnessedHolder(
            max(self.revision, later.revision),
            max(self.until_us, later.until_us),
            self.has_lifetime or later.has_lifetime,
            max(self.number, later.number),
        )


Holders = Mapping[str, WitnessedHolder]
"""By incarnation."""


class Witnessed(msgspec.Struct, frozen=True):
    """What a witness has seen.

    `revision`: of leases, as last committed. `noted_us`: by the plane's clock when it was furthest.
    """

    revision: int
    noted_us: int
    holders: Holders

    def joined(self, later: Witnessed) -> Witnessed:
        """What was seen with something else, whichever came first."""
        joined = dict(self.holders)
        for incarnation, holder in later.holders.items():
            joined[incarnation] = holder.joined(joined.get(incarnation))
        return Witnessed(
            max(self.revision, later.revision), max(self.noted_us, later.noted_us), joined
        )


NOTHING_SEEN = Witnessed(0, 0, {})


class LeaseWitness(Protocol):
    """A witness. Safe to use from several threads; raises `Unavailable` where it cannot be used.

    `rewrites`: how often it was found gone, replaced or overwritten, and was written anew.
    """

    rewrites: int

    def read(self) -> Witnessed | None:
        """All that it has seen; `None` where it is new."""
        ...

    def note(self, seen: Witnessed) -> None:
        """See something more, which is on disk once this returns.

        What could not be written before goes along: so `NOTHING_SEEN` asks only for that, and for a
        look whether all is where it was.
        """
        ...

    def forget(self, incarnations: Mapping[str, WitnessedHolder]) -> None:
        """Forget holders that nothing was granted to since they were as given here."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class MemoryWitness:
    """A witness in memory, for a database in memory and for tests."""

    def __init__(self, seen: Witnessed | None = None) -> None:
        self.rewrites = 0
        self._seen = seen

    def read(self) -> Witnessed | None:
        """All that it has seen; `None` where it is new."""
        return self._seen

    def note(self, seen: Witnessed) -> None:
        """See something more."""
        if seen is not NOTHING_SEEN:
            self._seen = (self._seen or NOTHING_SEEN).joined(seen)

    def forget(self, incarnations: Mapping[str, WitnessedHolder]) -> None:
        """Forget holders that nothing was granted to since they were as given here."""
        if self._seen is not None:
            kept = {
                incarnation: holder
                for incarnation, holder in self._seen.holders.items()
                if holder != incarnations.get(incarnation)
            }
            self._seen = Witnessed(self._seen.revision, self._seen.noted_us, kept)

    def close(self) -> None:
        """Let go of it."""
