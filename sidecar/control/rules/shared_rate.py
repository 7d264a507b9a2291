"""The rule by which the sidecars that share a rate are told their shares of it.

Rules
- A sidecar goes by what it says, or by the greater share that it was told since. All of that over
  all sidecars is what is held of a rate; the rest is free. Only what is free is told.
- A lowered share is free once its holder says that it goes by it, or was silent for a minute. With
  the plane out of its reach it keeps its last share: for so long as both last, it and who got its
  share may together pass more than the rate.
- Shares follow demand, with a floor for whoever asks at all. They are lowered where that matters:
  small differences move nothing, unless somebody lacks a share. Who asks for nothing keeps what it
  has until somebody else runs out (is hungry), or lacks a share.
- What is free has a fill, as every bucket has: what was given up brings its own, and drains on.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.limits.rate_shares import RateDemand, RateShare
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.time.units import MINUTE_US

SILENT_US: Final = MINUTE_US
"""Who was not heard for so long holds nothing any more."""
_FLOOR_PPM: Final = 10_000
_SLACK_PPM: Final = 30_000
_STEP_PPM: Final = 1_000
_HALF_FULL_PPM: Final = WHOLE_PPM // 2


class ShareHolder:
    """What one sidecar holds of a rate: it said `said_ppm`, and may go by `held_ppm`.

    `fill_ppm`: how full that was which it was told on top. `is_hungry`: it asks for something, and
    its bucket is half full or more. `lacks`: what it holds is far less than what it should.
    """

    __slots__ = ("demand", "fill_ppm", "heard_us", "held_ppm", "is_hungry", "lacks", "said_ppm")

    def __init__(self) -> None:
        self.demand = self.said_ppm = self.held_ppm = self.fill_ppm = 0
        self.heard_us = 0
        self.is_hungry = self.lacks = False


class SharedRate:
    """A rate that is shared. Its holders are in the order in which they were last heard.

    `unclaimed_ppm`: what somebody may go by who has not said so yet. `credit`: what the buckets of
    the free part have left, in millionths of millionths. `drained_us`: up to when they drained.
    `active`, `hungry`, `lacking`: how many holders ask for something, are hungry, lack a share.
    """

    __slots__ = (
        "active",
        "credit",
        "demand",
        "drain_us",
        "drained_us",
        "held_ppm",
        "holders",
        "hungry",
        "lacking",
        "unclaimed_ppm",
    )

    def __init__(self, unclaimed_ppm: int, now_us: int) -> None:
        self.holders: dict[str, ShareHolder] = {}
        self.unclaimed_ppm = unclaimed_ppm
        self.credit = (WHOLE_PPM - unclaimed_ppm) * WHOLE_PPM
        self.held_ppm = self.demand = self.active = 0
        self.drain_us, self.drained_us = 1, now_us
        self.hungry = self.lacking = 0

    @property
    def free_ppm(self) -> int:
        """What may be told; below 0 where sidecars go by more than there is."""
        return WHOLE_PPM - self.held_ppm - self.unclaimed_ppm

    def go_on(self, now_us: int) -> None:
        """Let time pass: what is free drains, and whoever was silent for long holds nothing."""
        free_ppm, elapsed_us = max(0, self.free_ppm), max(0, now_us - self.drained_us)
        flowed = free_ppm * WHOLE_PPM * elapsed_us // self.drain_us
        self.credit, self.drained_us = min(free_ppm * WHOLE_PPM, self.credit + flowed), now_us
        while self.holders:
            incarnation = next(iter(self.holders))
            if now_us - self.holders[incarnation].heard_us < SILENT_US:
                return
            self.leave(incarnation)

    def leave(self, incarnation: str) -> None:
        """A sidecar holds nothing any more."""
        holder = self.holders.pop(incarnation)
        self.held_ppm -= holder.held_ppm
        self._count(holder, 0, hungry=False)
        self._note_lack(holder, lacks=False)

    def hear(self, incarnation: str, said: RateDemand, now_us: int) -> ShareHolder:
        """Take what a sidecar says that it goes by."""
        holder = self.holders.pop(incarnation, None) or ShareHolder()
        said_ppm = said.share_ppm or 0
        self.drain_us = said.drain_us
        if said_ppm < holder.held_ppm:
            # What was told and not taken comes back as it was; what was gone by, as full as it is.
            not_taken_ppm = holder.held_ppm - max(holder.said_ppm, said_ppm)
            given_ppm = holder.held_ppm - said_ppm - not_taken_ppm
            self.credit += not_taken_ppm * (WHOLE_PPM - holder.fill_ppm)
            self.credit += given_ppm * (WHOLE_PPM - said.fill_ppm)
        else:
            self.unclaimed_ppm = max(0, self.unclaimed_ppm - (said_ppm - holder.held_ppm))
        self.held_ppm += said_ppm - holder.held_ppm
        holder.held_ppm = holder.said_ppm = said_ppm
        holder.fill_ppm, holder.heard_us = 0, now_us
        self._count(holder, said.demand, hungry=said.fill_ppm >= _HALF_FULL_PPM)
        self.holders[incarnation] = holder
        return holder

    def tell(self, holder: ShareHolder, said: RateDemand) -> RateShare:
        """Which share a sidecar is told, having just said how it stands."""
        if not holder.demand:
            self._note_lack(holder, lacks=False)
            return self._lowered_at_rest(holder)
        said_ppm = holder.said_ppm
        floor_ppm = min(_FLOOR_PPM, WHOLE_PPM // (4 * self.active))
        rest_ppm = WHOLE_PPM - floor_ppm * self.active
        target_ppm = floor_ppm + rest_ppm * holder.demand // self.demand
        self._note_lack(holder, lacks=False)
        if target_ppm < said_ppm:
            lowers = said_ppm - target_ppm > (0 if self.lacking else _SLACK_PPM)
            return RateShare(target_ppm) if lowers else RateShare()
        share = self._raised(holder, target_ppm)
        self._note_lack(holder, lacks=target_ppm - holder.held_ppm > said_ppm // 4)
        return share

    def is_wanted(self, holder: ShareHolder) -> bool:
        """Whether others want a part of what a sidecar at rest holds."""
        return not holder.demand and holder.held_ppm > 0 and bool(self.hungry or self.lacking)

    def is_over(self, now_us: int) -> bool:
        """Whether nothing of it has to be remembered."""
        self.go_on(now_us)
        return not self.holders and self.credit >= WHOLE_PPM * WHOLE_PPM

    def _lowered_at_rest(self, holder: ShareHolder) -> RateShare:
        if holder.said_ppm and self.hungry:
            return RateShare(0)
        even_ppm = WHOLE_PPM // (self.active + 1)
        if self.lacking and even_ppm < holder.said_ppm:
            return RateShare(even_ppm)
        return RateShare()

    def _raised(self, holder: ShareHolder, target_ppm: int) -> RateShare:
        free_ppm, said_ppm = self.free_ppm, holder.said_ppm
        told_ppm = min(target_ppm, said_ppm + free_ppm)
        gained_ppm = told_ppm - said_ppm
        # A first share that is far too small is worse than the even part, for which it stands.
        if gained_ppm < _STEP_PPM or (not said_ppm and told_ppm * 2 < target_ppm):
            return RateShare()
        credit = min(self.credit, free_ppm * WHOLE_PPM) * gained_ppm // free_ppm
        self.credit -= credit
        fill_ppm = WHOLE_PPM - credit // gained_ppm
        self.held_ppm += gained_ppm
        holder.held_ppm, holder.fill_ppm = told_ppm, fill_ppm
        return RateShare(told_ppm, fill_ppm)

    def _count(self, holder: ShareHolder, demand: int, *, hungry: bool) -> None:
        hungry = hungry and demand > 0
        self.active += (demand > 0) - (holder.demand > 0)
        self.demand += demand - holder.demand
        self.hungry += hungry - holder.is_hungry
        holder.demand, holder.is_hungry = demand, hungry

    def _note_lack(self, holder: ShareHolder, *, lacks: bool) -> None:
        self.lacking += lacks - holder.lacks
        holder.lacks = lacks
