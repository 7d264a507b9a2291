"""The states of a connection."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """States of a connection, in the order in which they are gone through."""

    OPENING = enum.auto()
    """The peer's preface is not whole."""
    GREETED = enum.auto()
    """Its first SETTINGS must come now."""
    OPEN = enum.auto()
    """Requests are served."""
    LEAVING = enum.auto()
    """The last stream has been named (GOAWAY): those up to it are served, later ones ignored."""
    CLOSED = enum.auto()
    """What is in the output is sent, nothing is read."""
