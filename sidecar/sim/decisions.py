"""Tells decisions: the first of a kind, or each."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from sidecar.domain.credits.sources import OVERDRAFT
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import QuotaUsage, remaining
from sidecar.sim.told import PlayLog, denial_text, dimensions_text, number_text


class DecisionTeller:
    """Tells of decisions what is worth it: of each kind the first, until it begins anew.

    `each`: all of them.
    """

    def __init__(self, log: PlayLog, zone: ZoneInfo, *, each: bool) -> None:
        self._log = log
        self._zone = zone
        self._each = each
        self._seen: set[tuple[object, ...]] = set()

    def begin_anew(self) -> None:
        """Tell the first of each kind once more."""
        self._seen.clear()

    def tell(self, check: Check, decision: Decision) -> None:
        """Tell a decision, if it is worth it."""
        if not decision.allowed:
            self._tell_denied(check, decision)
            return
        asked = _asked(check)
        if self._each:
            self._note(check, "allowed", f"{asked}{_left(decision)}{_burned(decision)}")
        feature = check.feature
        for warning in decision.warnings:
            if self._is_first("threshold", feature, warning.limit, warning.percent):
                text = f"{feature} {warning.limit}: {warning.percent} % used"
                self._note(check, "threshold", text, percent=warning.percent)
        for burned in decision.burned:
            for low in burned.low_balance:
                text = f"{burned.feature}: at or below {number_text(low)}"
                self._note(check, "low", text, balance=burned.feature, low_balance=low)
        for kind, limit, told in _remarks(check, decision):
            if self._is_first(kind, feature, limit):
                self._note(check, kind, f"{asked}: {told}", limit=limit)

    def _tell_denied(self, check: Check, decision: Decision) -> None:
        limit = "" if decision.binding is None else decision.binding.id
        if not self._is_first("denied", check.feature, decision.reason, limit):
            return
        text = f"{_asked(check)}: {denial_text(decision, self._zone)}"
        self._note(check, "denied", text, reason=decision.reason.name, limit=limit)

    def _is_first(self, *kind: object) -> bool:
        if self._each or kind not in self._seen:
            self._seen.add(kind)
            return True
        return False

    def _note(self, check: Check, kind: str, text: str, **data: object) -> None:
        self._log.tell(
            check.event_time_us,
            kind,
            text,
            feature=check.feature,
            quantity=check.quantity,
            dimensions=dict(check.dimensions),
            **data,
        )


def _asked(check: Check) -> str:
    feature = f"{check.feature}{dimensions_text(check.dimensions)}"
    return f"{feature} {number_text(check.quantity)}"


def _remarks(check: Check, decision: Decision) -> Iterator[tuple[str, str, str]]:
    """What is remarkable of an allowed check: kind of event, the limit behind it, in words."""
    limit = "" if decision.binding is None else decision.binding.id
    if decision.reason is not Reason.ALLOWED:
        yield "recorded", limit, f"it has happened, past {decision.reason.name}"
    elif decision.granted < check.quantity:
        yield "partial", limit, f"{number_text(decision.granted)} granted by {limit}"
    if decision.overage:
        yield "overage", "", f"allowed, {number_text(decision.overage)} of it over a soft limit"
    for burned in decision.burned:
        owed = sum(part.amount for part in burned.parts if part.source == OVERDRAFT)
        if owed and decision.reason is Reason.ALLOWED:
            told = f"allowed, {number_text(owed)} of {burned.feature} are owed for it"
            yield "overdraft", burned.feature, told
    for name in decision.throttled:
        yield "throttled", name, f"allowed, past {name} at its rate"
    for name in decision.shadow_denials:
        yield "shadow", name, f"{name} would deny it"


def _left(decision: Decision) -> str:
    binding = decision.binding
    if not isinstance(binding, QuotaUsage):
        return ""
    left = remaining(binding)
    return "" if left is None else f", {number_text(left)} left of {binding.id}"


def _burned(decision: Decision) -> str:
    told = ""
    for burned in decision.burned:
        parts = [f"{number_text(part.amount)} of {part.source}" for part in burned.parts]
        told += f"; burns {number_text(burned.amount)} of {burned.feature}"
        told += f": {', '.join(parts)}" if len(parts) > 1 else ""
    return told
