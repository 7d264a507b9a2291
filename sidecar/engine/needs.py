"""What a step may lack: it says so instead of a result, and is run again once it was asked for.

Snapshots of companies for now; leases will be another thing that a step can need.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

import msgspec


class Needs(msgspec.Struct, frozen=True):
    """What the control plane has to be asked for first.

    Nothing was written, and nothing is decided. A step that runs again is told what was `asked`
    for: of that it makes do with what there is, since more cannot be had.
    """

    snapshots: Set[str] = frozenset()
    """Ids of companies."""


NOTHING: Final = Needs()
