"""`make sim KIND=kinds`: seats and levels."""

from __future__ import annotations

import sys
from typing import Final

from tests.simulation.kinds.generate import schedule_of
from tests.simulation.kinds.mutations import MUTATIONS
from tests.simulation.kinds.player import play
from tests.simulation.kinds.schedule import read_schedule
from tests.simulation.leases.commands import Kind

KINDS: Final = Kind("tests.simulation.kinds", schedule_of, read_schedule, play, MUTATIONS, list)

if __name__ == "__main__":
    sys.exit(KINDS.main())
