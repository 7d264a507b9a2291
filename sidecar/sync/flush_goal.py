"""What a flush waits for."""

from __future__ import annotations

from sidecar.storage.store import Store


class FlushGoal:
    """That the plane has what has been accepted up to now.

    While an earlier incarnation has records, nobody knows under which sequences the present one
    will send them: a fenced one's are appended to its own. So the goal is set once it is alone, and
    anew where it is left, too.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ordinal = -1
        self._sequence = 0

    def is_reached(self) -> bool:
        """Whether it has; the first time that this is asked of a store alone sets the goal."""
        store = self._store
        if len(store.incarnations) > 1:
            self._ordinal = -1
            return False
        present = store.incarnation
        if self._ordinal != present.ordinal:
            self._ordinal, self._sequence = present.ordinal, store.head.sequence
        return present.acknowledged_sequence >= self._sequence
