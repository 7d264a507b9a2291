"""`make sim`: leases."""

from __future__ import annotations

import sys
from typing import Final

from tests.simulation.leases.commands import Kind
from tests.simulation.leases.flawless import measure_all
from tests.simulation.leases.generate import schedule_of
from tests.simulation.leases.mutations import MUTATIONS
from tests.simulation.leases.player import play
from tests.simulation.leases.schedule import read_schedule

LEASES: Final = Kind(
    "tests.simulation.leases", schedule_of, read_schedule, play, MUTATIONS, measure_all
)

if __name__ == "__main__":
    sys.exit(LEASES.main())
