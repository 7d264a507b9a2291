"""`make sim KIND=credits`."""

from __future__ import annotations

import sys
from typing import Final

from tests.simulation.credits.generate import schedule_of
from tests.simulation.credits.mutations import MUTATIONS
from tests.simulation.credits.player import play
from tests.simulation.credits.schedule import read_schedule
from tests.simulation.leases.commands import Kind

CREDITS: Final = Kind("tests.simulation.credits", schedule_of, read_schedule, play, MUTATIONS, list)

if __name__ == "__main__":
    sys.exit(CREDITS.main())
