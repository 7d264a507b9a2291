"""What a connection tells its driver, beyond complete unary calls."""

from __future__ import annotations

import enum
from typing import NamedTuple

from sidecar.front.machine.calls import TaskCall


class What(enum.Enum):
    """What has happened to a call."""

    STARTED = enum.auto()
    """Its behaviour can run."""
    ARRIVED = enum.auto()
    """There are messages to take from its inbox, or its request has come to its end."""
    ROOM = enum.auto()
    """It may send again."""
    ENDED = enum.auto()
    """It was given up, by the peer or at its deadline: its behaviour is to stop."""


class Event(NamedTuple):
    """Something that a behaviour's runner has to know."""

    what: What
    call: TaskCall
