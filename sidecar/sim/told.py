"""What is told of a play: one thing after the other, in words and as values for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from sidecar.domain.catalog.model import Limit, RateLimit
from sidecar.domain.company.model import AddOnSubscription, Segment, SubscriptionStatus
from sidecar.domain.formatting import add_ons_text, rate_text
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.usage import QuotaUsage, remaining
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US, datetime_of_instant
from sidecar.domain.time.zones import wall_of_instant
from sidecar.sim.model import (
    CatalogStep,
    GrantCreditsStep,
    GrantStep,
    LevelStep,
    OverridesStep,
    RevokeStep,
    ScenarioStep,
    SeatStep,
    SubscriptionStep,
    UsageStep,
    VoidCreditsStep,
)

EVENTS_MAX: Final = 10_000
"""Most events that are told; the rest is counted."""


_TITLES: Final[Mapping[type, str]] = {
    CatalogStep: "the catalog",
    OverridesStep: "the overrides",
    GrantStep: "the grant",
    RevokeStep: "the revocation",
    GrantCreditsStep: "the grant",
    VoidCreditsStep: "the void",
}


class PlayEvent(msgspec.Struct, frozen=True):
    """Something that happened. `kind` is one word; `data` says the same for scripts."""

    at_us: int
    kind: str
    text: str
    data: Mapping[str, object]


class PlayLog:
    """Keeps what happened, up to a bound."""

    def __init__(self) -> None:
        self.events: list[PlayEvent] = []
        self.left_out = 0

    def tell(self, at_us: int, kind: str, text: str, **data: object) -> None:
        """Note something."""
        if len(self.events) < EVENTS_MAX:
            self.events.append(PlayEvent(at_us, kind, text, data))
        else:
            self.left_out += 1


def local_text(zone: ZoneInfo, instant_us: int) -> str:
    """An instant by the company's clocks, such as `2026-02-14 12:00`."""
    moment = datetime_of_instant(wall_of_instant(zone, instant_us))
    return f"{moment:%Y-%m-%d %H:%M:%S}" if instant_us % MINUTE_US else f"{moment:%Y-%m-%d %H:%M}"


def moment_text(zone: ZoneInfo, instant_us: int) -> str:
    """The same within a sentence: a date alone where it is midnight."""
    return local_text(zone, instant_us).removesuffix(" 00:00")


def number_text(number: int) -> str:
    """A number for people, such as `1,000`."""
    return f"{number:,}"


def count_text(count: int, what: str) -> str:
    """So many of something, such as `1 check` or `1,000 checks`."""
    return f"{number_text(count)} {what}{'s' * (count != 1)}"


def span_text(zone: ZoneInfo, from_us: int, until_us: int) -> str:
    """A length of time by the company's clocks, such as `14 d` or `2 d 12 h`."""
    left_us = wall_of_instant(zone, until_us) - wall_of_instant(zone, from_us)
    parts = []
    for sign, unit_us in (("d", DAY_US), ("h", HOUR_US), ("min", MINUTE_US), ("s", SECOND_US)):
        count, left_us = divmod(left_us, unit_us)
        if count:
            parts.append(f"{count} {sign}")
    return " ".join(parts[:2]) or "0 d"


def status_text(segment: Segment) -> str:
    """The status of a subscription in words, such as `past_due (grace is over)`."""
    if segment.status is SubscriptionStatus.NONE:
        return "no subscription"
    notes = ["the trial is over"] if segment.after_trial else []
    notes += ["grace is over"] if segment.past_grace else []
    name = segment.status.name.lower()
    return f"{name} ({', '.join(notes)})" if notes else name


def held_text(plan: str, add_ons: tuple[AddOnSubscription, ...]) -> str:
    """What is held, such as `plan pro, packs x 2`."""
    told = f"plan {plan}" if plan else "no plan"
    return f"{told}, {add_ons_text(add_ons)}" if add_ons else told


def ceiling_text(limit: Limit | RateLimit) -> str:
    """What a limit or a rate lets pass, such as `1,000` or `10 per 1s, burst 20`."""
    if isinstance(limit, RateLimit):
        return rate_text(limit.rate)
    return "unlimited" if limit.amount is None else number_text(limit.amount)


def dimensions_text(dimensions: Mapping[str, str]) -> str:
    """Values of dimensions behind a name, such as ` (user=ann)`; empty for none."""
    pairs = " ".join(f"{name}={dimensions[name]}" for name in sorted(dimensions))
    return f" ({pairs})" if pairs else ""


def denial_text(decision: Decision, zone: ZoneInfo) -> str:
    """Why something was denied, and what is left, such as `LIMIT_EXCEEDED by monthly, 0 left`."""
    text, binding = decision.reason.name, decision.binding
    if binding is not None:
        text += f" by {binding.id}"
    if isinstance(binding, QuotaUsage):
        text += f", {number_text(remaining(binding) or 0)} left"
        if binding.resets_us is not None:
            text += f", resets {moment_text(zone, binding.resets_us)}"
    elif isinstance(binding, RateUsage) and decision.retry_after_us is not None:
        text += f", again in {_wait(decision.retry_after_us)}"
    if decision.reason is Reason.CREDITS_EXHAUSTED:
        for burned in decision.burned:
            text += f", needs {number_text(burned.needed)} of {burned.feature}"
            text += "" if burned.left is None else f", {number_text(burned.left)} left"
    return text


def _wait(wait_us: int) -> str:
    if wait_us < MINUTE_US:
        return f"{-(-wait_us // SECOND_US)} s"
    return f"{-(-wait_us // MINUTE_US)} min"


def step_text(step: ScenarioStep) -> str:
    """What a step is, for a sentence that says why it was refused."""
    action = step.action
    if action is None:
        return "the question"
    if isinstance(action, SubscriptionStep):
        return action.told
    if isinstance(action, UsageStep):
        return f"{action.feature}{dimensions_text(action.dimensions)}"
    if isinstance(action, SeatStep):
        return f"{action.feature}: {action.holder}"
    if isinstance(action, LevelStep):
        return f"{action.feature} {action.item}".rstrip()
    return _TITLES[type(action)]
