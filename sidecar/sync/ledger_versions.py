"""Which versions a total can have: one beyond them would have all later news ignored as older.

A plane numbers changes of its ledger by the microseconds of its time, or on from the last one where
its clock went back. So no total is of a later version than the ledger that it is told of; where the
answer says none, of a later one than the plane has named, or than its time, but for a slack.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.shared.convert.times import instant

SLACK_US: Final = DAY_US
"""How far the ledger may have run ahead of the plane's time, where nothing else is known of it."""


class LedgerVersions:
    """What the plane has said of its ledger's version since this process began."""

    def __init__(self) -> None:
        self._newest = 0

    def said(self, version: int) -> int:
        """The version of the ledger that an answer says; 0 for what is none."""
        if not 0 < version < END_INSTANT_US:
            return 0  # no clock shows that
        self._newest = max(self._newest, version)
        return version

    def most(self, plane_time: Timestamp) -> int:
        """The latest version that there can be, where an answer says none."""
        try:
            now_us = instant(plane_time, "plane_time")
        except InvalidInput:
            now_us = 0
        known = max(self._newest, now_us)
        return known + SLACK_US if known > 0 else END_INSTANT_US
