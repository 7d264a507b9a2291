"""A sidecar with seats and levels, as a process on virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.kinds.seating import Seating
from tests.simulation.kinds.using import Using
from tests.simulation.leases.sidecars import Pod, Process

if TYPE_CHECKING:
    from tests.simulation.kinds.world import KindWorld


class KindProcess(Process):
    """One life of a sidecar that answers calls about seats and levels."""

    def __init__(self, pod: Pod, kinds: KindWorld) -> None:
        super().__init__(pod)
        self.kinds = kinds
        self.seating = Seating(self)
        self.using = Using(self)

    def begin(self) -> None:
        """Begin with what goes on in the background."""
        super().begin()
        self.seating.begin()
        self.using.begin()
