"""Packs as a list: usage takes from the oldest; whoever holds fewer loses the youngest."""

from __future__ import annotations

from sidecar.domain.catalog.model import Rollover


class PackModel:
    """What each pack has left, the oldest first, and what each earlier window has."""

    def __init__(
        self, amount: int, size: int, packs: int, rollover: Rollover | None = None
    ) -> None:
        self._amount, self._size = amount, size
        self._windows = 0 if rollover is None else rollover.windows
        self._packs = [self._size] * packs
        self._rest: list[int] = []
        self.used = 0

    def left(self, packs: int) -> int:
        """What so many packs would have left, with what was used."""
        return self._left_of(self._held(packs), self.used)[1]

    def room(self, packs: int) -> int:
        """How much more may be used in the window."""
        return max(0, self._amount + sum(self._rest) + sum(self._held(packs)) - self.used)

    def ends(self, packs: int, *, rolls_over: bool = True) -> None:
        """The window ends, with so many packs, in force or not."""
        self._packs = self._held(packs)
        above, _ = self._left_of(self._packs, self.used)
        lots, used = [*self._rest, self._amount], self.used
        for at, lot in enumerate(lots):
            lots[at] = lot - min(lot, used)
            used -= lot - lots[at]
        windows = self._windows if rolls_over else 0
        self._rest = lots[max(0, len(lots) - windows) :] if windows else []
        for at, lot in enumerate(self._packs):
            self._packs[at] = lot - min(lot, above)
            above -= lot - self._packs[at]
        self.used = 0

    def _held(self, packs: int) -> list[int]:
        return [*self._packs, *[self._size] * (packs - len(self._packs))][:packs]

    def _left_of(self, packs: list[int], used: int) -> tuple[int, int]:
        above = max(0, used - self._amount - sum(self._rest))
        return above, max(0, sum(packs) - above)
