"""Plays steps about credits, seats and levels, and tells what came of them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.levels.changes import LevelAction
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.sim.billing import PeriodBook
from sidecar.sim.model import GrantCreditsStep, KindStep, LevelStep, SeatStep, VoidCreditsStep
from sidecar.sim.told import PlayLog, denial_text, dimensions_text, moment_text, number_text
from sidecar.sim.world import World


class KindPlayer:
    """Lets such steps happen. Raises `FieldError` where the rules refuse one."""

    def __init__(self, world: World, log: PlayLog, periods: PeriodBook, zone: ZoneInfo) -> None:
        self._world = world
        self._log = log
        self._periods = periods
        self._zone = zone

    def take(self, step: KindStep) -> Decision | None:
        """Let it happen; what was decided, where anything is."""
        world = self._world
        world.hear()
        try:
            if isinstance(step, LevelStep):
                return self._move(step)
            if isinstance(step, SeatStep) and not step.is_release:
                return self._acquire(step)
            if isinstance(step, SeatStep):
                self._release(step)
            elif isinstance(step, GrantCreditsStep):
                self._grant(step)
            else:
                self._void(step)
            return None
        finally:
            world.settle()

    def tell_due(self) -> None:
        """Tell of items that came back by themselves, and of credits that the plane has voided."""
        kinds = self._world.kinds
        expired, kinds.expired = kinds.expired, []
        voided, kinds.voided = kinds.voided, []
        for void in voided:
            told = f"{void.grant}, of {void.feature}: took {number_text(void.amount)}"
            data = {"id": void.grant, "feature": void.feature, "amount": void.amount}
            self._tell("void", f"{told}, since {void.reason}", **data)
        for item in expired:
            self._tell(
                "level",
                f"{item.feature} {item.item}: its {number_text(item.level)} came back",
                feature=item.feature,
                item=item.item,
                changed=-item.level,
            )

    def _grant(self, step: GrantCreditsStep) -> None:
        world = self._world
        done = world.kinds.grant(world.company, step, world.now_us)
        given = done.stored.grant
        told = f"{given.id}, of {step.feature}: {number_text(given.amount)}"
        if given.effective_us > world.now_us:
            told += f" from {moment_text(self._zone, given.effective_us)}"
        if given.expires_us != FOREVER_US:
            told += f" until {moment_text(self._zone, given.expires_us)}"
        told += f"; {number_text(done.repaid)} repaid of what was owed" if done.repaid else ""
        told += "" if done.changed else "; nothing was changed, it is so already"
        self._tell("grant", told, id=given.id, feature=step.feature, amount=given.amount)

    def _void(self, step: VoidCreditsStep) -> None:
        world = self._world
        world.settle()  # what was burned by now, the plane is to know
        done = world.kinds.void(world.company, step.id, world.now_us)
        account, feature = done.account, done.stored.feature
        told = f"{step.id}, of {feature}: took {number_text(account.voided)}"
        told += f", {number_text(account.burned)} were burned"
        self._tell("void", told, id=step.id, feature=feature, amount=account.voided)

    def _acquire(self, step: SeatStep) -> Decision:
        world = self._world
        answer = world.kinds.acquire(world.company, step, world.now_us)
        if answer.decision.allowed:
            told = "takes a seat" if answer.assigned else "has a seat already"
            told = f"{step.holder} {told}{_used(answer.decision, 'held')}"
            data = {"holder": step.holder, "assigned": answer.assigned}
            self._tell("seat", f"{step.feature}: {told}", feature=step.feature, **data)
        else:
            swaps = "; no more may change hands for now" if answer.swaps_used_up else ""
            self._denied(step.feature, f"{step.feature}: {step.holder}", answer.decision, swaps)
        return answer.decision

    def _release(self, step: SeatStep) -> None:
        world = self._world
        answer = world.kinds.release(world.company, step, world.now_us)
        told = "gives the seat back" if answer.released else "has no seat to give back"
        if answer.counts_until_us is not None:
            told += f"; counts until {moment_text(self._zone, answer.counts_until_us)}"
        text = f"{step.feature}: {step.holder} {told}"
        data = {"holder": step.holder, "released": answer.released}
        self._tell("seat", text, feature=step.feature, **data)

    def _move(self, step: LevelStep) -> Decision:
        world = self._world
        answer = world.kinds.move(world.company, step, world.now_us)
        if answer.record_id:
            world.note_record()
        what = f"{step.feature}{dimensions_text(step.dimensions)}"
        what += f" {step.item}" if step.item else ""
        if answer.decision.allowed:
            told = f"{what} {answer.changed:+,}{_used(answer.decision, 'in use')}"
            if answer.item is not None and answer.item.expires_us:
                told += f"; comes back {moment_text(self._zone, answer.item.expires_us)}"
            self._tell("level", told, feature=step.feature, changed=answer.changed)
        else:
            sign = "+" if step.action is LevelAction.ADJUST else "to "
            self._denied(step.feature, f"{what} {sign}{number_text(step.amount)}", answer.decision)
        return answer.decision

    def _denied(self, feature: str, asked: str, decision: Decision, more: str = "") -> None:
        self._periods.note_denied(feature)
        text = f"{asked}: {denial_text(decision, self._zone)}{more}"
        self._tell("denied", text, feature=feature, reason=decision.reason.name)

    def _tell(self, kind: str, text: str, **data: object) -> None:
        self._log.tell(self._world.now_us, kind, text, **data)


def _used(decision: Decision, how: str) -> str:
    """How much of the narrowest limit is held, or in use, behind what happened."""
    binding = decision.binding
    if not isinstance(binding, QuotaUsage):
        return ""
    of = "" if binding.amount is None else f" of {number_text(binding.amount)}"
    over = f", {number_text(decision.overage)} over" if decision.overage else ""
    return f", {number_text(binding.used)}{of} {how}{over}"
