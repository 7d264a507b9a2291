"""Limits, rates, windows and what an answer is based on, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.kind_words import balance_lines, limit_kind_notes, overdraft_change_text
from sidecar.cli.output import number
from sidecar.cli.reason_words import REASON_WORDS
from sidecar.cli.times import span_of
from sidecar.cli.window_words import per_words
from sidecar.domain.bounds import PLAN_VERSION_NEWEST
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.shared.api_json import enum_name

_PERIODS: Final = (
    (DAY_US, "day", "days"),
    (HOUR_US, "hour", "hours"),
    (MINUTE_US, "minute", "minutes"),
    (SECOND_US, "second", "seconds"),
    (1_000, "ms", "ms"),
    (1, "us", "us"),
)
_NEVER_HEARD_MS: Final = 20 * 365 * DAY_US // 1_000
"""A plane that was never heard has the age of the Unix epoch."""


def enforcement_name(value: int) -> str:
    """Name what happens past a limit: `hard`, `soft`, `shadow` or `throttle`."""
    return str(enum_name(catalog_pb2.Enforcement.DESCRIPTOR, value)).lower()


def reason_name(value: int) -> str:
    """Name a reason, such as `LIMIT_EXCEEDED`."""
    return str(enum_name(pb.Reason.DESCRIPTOR, value))


def reason_text(value: int) -> str:
    """Say what a denial's reason means; the name itself for one of a newer server."""
    return REASON_WORDS.get(value, reason_name(value))


def status_name(value: int) -> str:
    """Name the status of a subscription, such as `active`; `none` where there is none."""
    name = enum_name(catalog_pb2.SubscriptionStatus.DESCRIPTOR, value)
    return "none" if name is None else str(name).lower()


def plan_text(plan: str, version: int) -> str:
    """Write a plan with its version, where it has one of its own: `pro, version 3`."""
    has_version = 0 < version < PLAN_VERSION_NEWEST
    return f"{plan}, version {version}" if has_version else plan


def plan_cause(*, after_trial: bool, after_grace: bool) -> str:
    """Say why a plan is in force that was not bought; empty where it was."""
    if after_grace:
        return "since the grace of a late payment ended"
    return "since the trial ended" if after_trial else ""


def pairs(mapping: Mapping[str, str]) -> str:
    """Write `a=1 b=2`."""
    return " ".join(f"{name}={mapping[name]}" for name in sorted(mapping))


def is_rate(status: pb.LimitStatus) -> bool:
    """Whether a status is that of a rate, rather than of a limit that has one past its amount."""
    return status.HasField("rate") and status.enforcement != catalog_pb2.ENFORCEMENT_THROTTLE


def drains_us(status: pb.LimitStatus) -> int:
    """How long until a rate is at rest, if nothing else happens; to the next whole unit."""
    rate, share_ppm = status.rate, status.rate_share_ppm or WHOLE_PPM
    used = status.used * rate.period.ToMicroseconds() * WHOLE_PPM
    return -(-used // (rate.count * share_ppm))


def limit_name(status: pb.LimitStatus) -> str:
    """Write which limit or rate it is: `monthly (hard, user=joe)`."""
    facts = [enforcement_name(status.enforcement)]
    if is_rate(status):
        facts.append(shared_rate_words(status))
    elif status.HasField("rate"):
        facts[0] += f" to {shared_rate_words(status)}"
    if status.dimensions:
        facts.append(pairs(status.dimensions))
    return f"{status.limit} ({', '.join(facts)})"


def carried_text(status: pb.LimitStatus) -> str:
    """What there is beyond the amount, each part once: `50 carried over, 20 left of packs`.

    Of an earlier window also what later ones have used of its amount: `30 used by later windows`.
    """
    parts = (
        (carried_besides_packs(status), "carried over"),
        (status.packs_left, "left of packs"),
        (max(0, -status.carried), "used by later windows"),
    )
    return ", ".join(f"{number(amount)} {words}" for amount, words in parts if amount)


def carried_besides_packs(status: pb.LimitStatus) -> int:
    """What may be used beyond the amount and what packs have left, which `carried` includes."""
    return max(0, status.carried - status.packs_left)


def basis_text(basis: pb.Basis) -> str:
    """Say what an answer was decided on, and how exact it is."""
    parts = [str(enum_name(pb.BasisMode.DESCRIPTOR, basis.mode))]
    parts.append(f"revision {basis.snapshot_version}")
    if not basis.HasField("plane_age_ms"):
        parts.append("its own authority")
    elif basis.plane_age_ms >= _NEVER_HEARD_MS:
        parts.append("plane never heard")
    else:
        parts.append(f"plane heard {span_of(basis.plane_age_ms * 1000)} ago")
    if not basis.HasField("uncertainty"):
        parts.append("others may count too")
    elif basis.uncertainty:
        parts.append(f"true usage up to {number(basis.uncertainty)} higher")
    else:
        parts.append("exact")
    if basis.HasField("lease_remaining"):
        parts.append(f"{number(basis.lease_remaining)} left of the lease")
    elif basis.mode == pb.BASIS_MODE_LEASED:
        parts.append("no lease held for it yet: the first call asks for one")
    if basis.default_plan:
        parts.append(f"company unknown, by the default plan {basis.default_plan}")
    if basis.HasField("remembered"):
        parts.append(f"keys remembered for {span_of(basis.remembered.ToMicroseconds())}")
    return ", ".join(parts)


def overruled_text(decision: pb.Decision) -> str:
    """Say what would have denied, had the fail policy not allowed; empty where nothing would."""
    reason = decision.would_deny_reason
    if reason == pb.REASON_LEASE_UNAVAILABLE:
        return ""  # the fallback's cause says it
    return f"; by what is known, denied: {reason_name(reason)}" if reason else ""


def fallback_text(basis: pb.Basis) -> str:
    """Say why the fail policy decided; empty where it did not."""
    if basis.mode != pb.BASIS_MODE_FALLBACK:
        return ""
    if basis.fallback == pb.FALLBACK_CAUSE_NO_SNAPSHOT:
        why = ": nothing is known of the company"
    elif basis.fallback == pb.FALLBACK_CAUSE_OUTBOX_FULL:
        why = ": the outbox is full"
    elif basis.fallback == pb.FALLBACK_CAUSE_NO_LEASE:
        why = ": no lease of an exact limit could be had"
    elif basis.fallback != pb.FALLBACK_CAUSE_STALE_SNAPSHOT:
        why = ""
    elif basis.plane_age_ms >= _NEVER_HEARD_MS:
        why = ": the control plane was never heard"
    else:
        why = f": the control plane was not heard for {span_of(basis.plane_age_ms * 1000)}"
    return f"decided by the fail policy{why}"


def fail_policy_text(policy: catalog_pb2.FailPolicy) -> str:
    """Write a fail policy: `deny without a snapshot, allow after 5 min of silence, ...`.

    What sidecars of before do not say is left out.
    """
    parts = [f"{_action(policy.no_snapshot)} without a snapshot"]
    if policy.HasField("stale_after"):
        silence = span_of(policy.stale_after.ToMicroseconds())
        parts.append(f"{_action(policy.stale)} after {silence} of silence")
    parts.append(f"{_action(policy.outbox_full)} with a full outbox")
    if policy.no_lease:
        parts.append(f"{_action(policy.no_lease)} without a lease")
    return ", ".join(parts)


def _action(value: int) -> str:
    return str(enum_name(catalog_pb2.FailAction.DESCRIPTOR, value)).lower().replace("_", " ")


def rate_words(rate: catalog_pb2.Rate) -> str:
    """Write a rate: `10 per second`, and `, 20 at once` where its burst is another number."""
    text = f"{number(rate.count)} per {_period(rate.period.ToMicroseconds())}"
    if rate.burst not in (0, rate.count):
        text += f", {number(rate.burst)} at once"
    return text


def shared_rate_words(status: pb.LimitStatus) -> str:
    """Write the rate of a limit, and how much of it holds here where sidecars share it."""
    text = rate_words(status.rate)
    if not status.rate_share_ppm:
        return text
    percent = status.rate_share_ppm / (WHOLE_PPM // 100)
    return f"{text}, {percent:.3g}% of it here"


def wait_text(span_us: int) -> str:
    """Write how long to wait, rounded up: `250 ms`, `1.9 s` or `2 h 5 min`."""
    if span_us <= SECOND_US - 1_000:
        return f"{-(-span_us // 1_000)} ms"
    if span_us < MINUTE_US:
        seconds, tenths = divmod(-(-span_us // 100_000), 10)
        return f"{seconds}.{tenths} s" if tenths else f"{seconds} s"
    return span_of(-(-span_us // SECOND_US) * SECOND_US)


def limit_text(limit: catalog_pb2.Limit, kind: int, *, terse: bool = False) -> str:
    """Write a limit of a feature of a kind in one line: `monthly: 1000 per month, hard, each user`.

    `terse`: what is usual, that it is hard, is not said.
    """
    amount = number(limit.amount) if limit.HasField("amount") else "unlimited"
    parts = [f"{limit.id}: {amount} {per_words(limit.window, kind)}"]
    if limit.HasField("throttle"):
        parts.append(f"{enforcement_name(limit.enforcement)} to {rate_words(limit.throttle)}")
    elif not terse or limit.enforcement != catalog_pb2.ENFORCEMENT_HARD:
        parts.append(enforcement_name(limit.enforcement))
    if limit.across == catalog_pb2.ACROSS_EVENTUAL:
        parts.append("eventual over sidecars")
    parts += _scope_notes(limit.scope)
    for own in limit.amounts:
        much = number(own.amount) if own.HasField("amount") else "unlimited"
        parts.append(f"{much} for {own.value}")
    if limit.HasField("rollover"):
        parts.append(_rollover_text(limit.rollover))
    return ", ".join([*parts, *limit_kind_notes(limit)])


def rate_limit_text(limit: catalog_pb2.RateLimit, *, terse: bool = False) -> str:
    """Write a rate in one line: `burst: 10 per second, 20 at once, hard, each user`."""
    parts = [f"{limit.id}: {rate_words(limit.rate)}"]
    if not terse or limit.enforcement != catalog_pb2.ENFORCEMENT_HARD:
        parts.append(enforcement_name(limit.enforcement))
    parts += _scope_notes(limit.scope)
    return ", ".join(parts)


def limit_change_text(change: catalog_pb2.LimitChange) -> str:
    """Write a change of a limit: `monthly: +1000`, `monthly: 5000` or `monthly: unlimited`."""
    amount = number(change.amount) if change.HasField("amount") else "unlimited"
    return f"{change.limit}: {'+' if change.adds and change.HasField('amount') else ''}{amount}"


def rate_change_text(change: catalog_pb2.RateChange) -> str:
    """Write a change of a rate: `burst: +10`, and `, +20 at once` where that is another number."""
    sign = "+" if change.adds else ""
    text = f"{change.rate}: {sign}{number(change.count)}"
    if change.burst not in (0, change.count):
        text += f", {sign}{number(change.burst)} at once"
    return text


def grant_lines(grant: catalog_pb2.EntitlementGrant, kind: int) -> list[str]:
    """Write what a source grants of a feature of a kind, a line for each limit and rate."""
    if kind == catalog_pb2.FEATURE_KIND_BOOLEAN:
        return ["on" if grant.enabled else "off"]
    if kind == catalog_pb2.FEATURE_KIND_CONFIG:
        return [grant.config_value]
    changes = [limit_change_text(change) for change in grant.limit_changes]
    changes += [rate_change_text(change) for change in grant.rate_changes]
    if grant.HasField("overdraft_change"):
        changes.append(overdraft_change_text(grant.overdraft_change))
    if changes:
        return changes
    lines = [limit_text(limit, kind, terse=True) for limit in grant.limits] or ["unlimited"]
    lines += [rate_limit_text(rate, terse=True) for rate in grant.rates]
    return lines + balance_lines(grant)


def _scope_notes(scope: catalog_pb2.Scope) -> Iterable[str]:
    if scope.dimensions:
        yield f"each {' and '.join(scope.dimensions)}"
    if scope.match:
        yield f"when {pairs(scope.match)}"


def _rollover_text(rollover: catalog_pb2.Rollover) -> str:
    windows = "1 window" if rollover.windows in (0, 1) else f"{rollover.windows} windows"
    most = [number(rollover.max_amount)] if rollover.HasField("max_amount") else []
    if rollover.HasField("max_percent"):
        most.append(f"{rollover.max_percent} %")
    bound = f", at most {' and '.join(most)}" if most else ""
    return f"unused carries over {windows}{bound}"


def _period(span_us: int) -> str:
    size, one, many = next(unit for unit in _PERIODS if span_us % unit[0] == 0)
    count = span_us // size
    return one if count == 1 and size >= SECOND_US else f"{count} {one if count == 1 else many}"
