"""Token buckets against floods of frames that cost us more than they cost the peer."""

from __future__ import annotations

from sidecar.front.bounds import Allowance
from sidecar.front.errors import ConnectionFault, ErrorCode


class _Bucket:
    """What is left of one allowance, and when that was worked out."""

    __slots__ = ("answers", "at", "frames", "left")

    def __init__(self, burst: int, now: float, answers: int, frames: int) -> None:
        self.left = float(burst)
        self.at = now
        self.answers = answers
        self.frames = frames


class FloodMeters:
    """The allowances of one connection.

    answers: calls that were answered so far. frames: of DATA that waited for the peer, sent so far.
    """

    __slots__ = ("_buckets", "answers", "frames")

    def __init__(self) -> None:
        self.answers = 0
        self.frames = 0
        self._buckets: dict[str, _Bucket] = {}

    def spend(self, kind: str, allowance: Allowance, now: float, count: int = 1) -> None:
        """Take tokens. Raises ConnectionFault (ENHANCE_YOUR_CALM) when there are none left."""
        bucket = self._buckets.get(kind)
        if bucket is None:
            bucket = _Bucket(allowance.burst, now, self.answers, self.frames)
            self._buckets[kind] = bucket
        gained = (now - bucket.at) * allowance.per_second
        gained += (self.answers - bucket.answers) * allowance.per_answer
        gained += (self.frames - bucket.frames) * allowance.per_frame
        bucket.left = min(float(allowance.burst), bucket.left + gained) - count
        bucket.at, bucket.answers, bucket.frames = now, self.answers, self.frames
        if bucket.left < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, kind.replace("_", " "), kind)
