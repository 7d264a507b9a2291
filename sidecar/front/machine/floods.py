"""Token buckets against floods of frames that cost us more than they cost the peer."""

from __future__ import annotations

from sidecar.front.bounds import Allowance
from sidecar.front.errors import ConnectionFault, ErrorCode


class _Bucket:
    """What is left of one allowance."""

    __slots__ = ("at", "left", "useful")

    def __init__(self, burst: int, now: float, useful: int) -> None:
        self.left = float(burst)
        self.at = now
        self.useful = useful


class Meters:
    """The allowances of one connection. `useful`: units of useful work so far."""

    __slots__ = ("_buckets", "useful")

    def __init__(self) -> None:
        self.useful = 0
        self._buckets: dict[str, _Bucket] = {}

    def spend(self, kind: str, allowance: Allowance, now: float) -> None:
        """Take one token. Raises ConnectionFault (ENHANCE_YOUR_CALM) when there is none left."""
        bucket = self._buckets.get(kind)
        if bucket is None:
            bucket = self._buckets[kind] = _Bucket(allowance.burst, now, self.useful)
        gained = (now - bucket.at) * allowance.per_second
        gained += (self.useful - bucket.useful) * allowance.per_useful
        bucket.left = min(float(allowance.burst), bucket.left + gained) - 1
        bucket.at = now
        bucket.useful = self.useful
        if bucket.left < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, kind.replace("_", " "), kind)
