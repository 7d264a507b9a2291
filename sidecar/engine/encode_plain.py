"""What the usual check wants of whoever encodes its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sidecar.domain.catalog.model import Limit
from sidecar.domain.limits.reasons import Basis
from sidecar.domain.time.windows import Window


class EncodePlain(Protocol):
    """Makes the bytes of answers of which there is little to say."""

    def frame(self, limit: Limit, window: Window) -> Any:
        """What stays the same in answers that name a limit in a window."""
        ...

    def plain(
        self,
        reason: int,
        granted: int,
        frame: Any,
        used: int,
        values: tuple[str, ...],
        basis: Basis,
        record_id: str,
        lease_remaining: int | None,
    ) -> bytes:
        """An answer that allows a quantity, and names a limit with its usage; no `frame`: none.

        `lease_remaining`: what the smallest lease has left after it; `None` where none decided.
        """
        ...

    def burned_frame(self, feature: str, source: str) -> Any:
        """What stays the same where answers say that a source of a balance has burned."""
        ...

    def burned_plain(self, told: Sequence[tuple[Any, int, int]]) -> bytes:
        """What is put before an answer that burned something, of one source for each balance.

        Each by its frame, with what it burned, which is all that was needed, and what is left.
        """
        ...
