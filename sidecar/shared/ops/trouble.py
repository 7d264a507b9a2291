"""A trouble that keeps a process from doing its work: told when it begins and ends, each time."""

from __future__ import annotations

import structlog

from sidecar.shared.ops.health import Health

log = structlog.get_logger(__name__)


class Trouble:
    """Withholds readiness while it lasts. For the event loop; what it says may be read anywhere.

    `what` is in trouble: names the hold and the log's events. `reason`: for programs, empty where
    there is none; `error`: for people. `times`: how often it has begun.
    """

    def __init__(self, what: str, health: Health) -> None:
        self._what = what
        self._health = health
        self.reason = self.error = ""
        self.times = 0

    def begin(self, reason: str, error: str) -> None:
        """It is there, or still there; a reason for one that is there is news, and not told."""
        if not self.reason:
            self.times += 1
            log.error("trouble.began", what=self._what, reason=reason, error=error)
        if (reason, error) != (self.reason, self.error):
            self.reason, self.error = reason, error
            self._health.hold(self._what, f"the {self._what} is in trouble: {error}")

    def end(self) -> None:
        """It is over, if it was there."""
        if self.reason:
            self.reason = self.error = ""
            log.info("trouble.over", what=self._what)
            self._health.release(self._what)
