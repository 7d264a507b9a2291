"""Whether the process is alive, has started and should get calls; one object says it to everyone.

- startup: passes once, when the first call could be answered, and stays passed.
- readiness: passes after startup, while nothing holds it, until a drain begins. An unreachable
  control plane must not hold it: a sidecar decides without one, and readiness must not flap.
- liveness: fails only when the event loop has stopped turning, or what the process stands on is
  gone from the disk. It depends on nothing else, since a restart would cure nothing else.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

STALLED_SECONDS_MAX: Final = 10.0
"""Age of the last heartbeat from which on the event loop counts as stalled."""
BEAT_SECONDS: Final = 1.0

Listener = Callable[[], None]


class Verdict(NamedTuple):
    """Answer to a probe, with the reason for people."""

    passed: bool
    reason: str


class Health:
    """State of the process; all methods may be called from any thread.

    `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._holds: dict[str, str] = {}
        self._started = False
        self._draining = ""
        self._failed = ""
        self._last_beat: float | None = None

    def start(self) -> None:
        """Say that startup is complete."""
        with self._lock:
            self._started = True
        self._tell()

    def hold(self, what: str, reason: str) -> None:
        """Withhold readiness until `release(what)`; `reason` is what probes answer."""
        with self._lock:
            self._holds[what] = reason
        self._tell()

    def release(self, what: str) -> None:
        """End a hold; one that is not there is no error."""
        with self._lock:
            self._holds.pop(what, None)
        self._tell()

    def drain(self, reason: str = "draining") -> None:
        """Say that the process is about to stop: not ready from now on, for good."""
        with self._lock:
            self._draining = self._draining or reason
        self._tell()

    def fail(self, reason: str) -> None:
        """Say that only a restart can help: neither alive nor ready from now on, for good."""
        with self._lock:
            self._failed = self._failed or reason
        self._tell()

    def beat(self) -> None:
        """Say that the event loop turns."""
        self._last_beat = self._clock()

    def startup(self) -> Verdict:
        """Whether startup is complete."""
        return Verdict(True, "started") if self._started else Verdict(False, "starting")

    def readiness(self) -> Verdict:
        """Whether callers should send calls."""
        with self._lock:
            reasons = [self._draining] if self._draining else list(self._holds.values())
            if self._failed:
                reasons.insert(0, self._failed)
        if not self._started:
            reasons.insert(0, "starting")
        return Verdict(not reasons, "; ".join(reasons) or "ready")

    def liveness(self) -> Verdict:
        """Whether the event loop turns. Before its first heartbeat, startup is what is judged."""
        if self._failed:
            return Verdict(False, self._failed)
        last_beat = self._last_beat
        if last_beat is None:
            return Verdict(True, "no event loop yet")
        age_seconds = self._clock() - last_beat
        if age_seconds > STALLED_SECONDS_MAX:
            return Verdict(False, f"the event loop has not turned for {age_seconds:.0f} s")
        return Verdict(True, "alive")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each change, in the thread that made it. Returns what ends this."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    def _tell(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()


async def keep_beating(health: Health) -> None:
    """Beat every second from the running event loop, until cancelled."""
    while True:
        health.beat()
        await asyncio.sleep(BEAT_SECONDS)
