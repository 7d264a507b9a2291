"""What plans, add-ons and overrides grant: limits, rates, and changes of them."""

from __future__ import annotations

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.catalog.grant_rules import named_across_problems
from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    Across,
    Enforcement,
    EntitlementGrant,
    Limit,
    RateLimit,
)
from sidecar.domain.credits.grants import GrantKind
from sidecar.shared.convert._checks import below, member, refuse_any
from sidecar.shared.convert.kinds import (
    overdraft_change_from_message,
    overdraft_change_to_message,
    swaps_from_message,
    swaps_to_message,
)
from sidecar.shared.convert.limits import (
    limit_change_from_message,
    limit_change_to_message,
    rate_change_from_message,
    rate_change_to_message,
    rate_from_message,
    rate_to_message,
    rollover_from_message,
    rollover_to_message,
    scope_from_message,
    scope_to_message,
    window_from_message,
    window_to_message,
)


def grant_to_message(grant: EntitlementGrant) -> catalog_pb2.EntitlementGrant:
    """Turn what one source grants of a feature into a message."""
    overdraft = grant.overdraft_change
    return catalog_pb2.EntitlementGrant(
        feature=grant.feature,
        enabled=grant.enabled,
        config_value=grant.config_value,
        limits=map(limit_to_message, grant.limits),
        rates=map(rate_limit_to_message, grant.rates),
        limit_changes=map(limit_change_to_message, grant.limit_changes),
        rate_changes=map(rate_change_to_message, grant.rate_changes),
        id=grant.id,
        overdraft=grant.overdraft,
        overdraft_change=None if overdraft is None else overdraft_change_to_message(overdraft),
        low_balance=grant.low_balance,
    )


def grant_from_message(message: catalog_pb2.EntitlementGrant, field: str) -> EntitlementGrant:
    """Read a grant. Its bounds are checked with those of what it is a part of."""
    overdraft_change = None
    if message.HasField("overdraft_change"):
        overdraft_change = overdraft_change_from_message(message.overdraft_change)
    return EntitlementGrant(
        feature=message.feature,
        enabled=message.enabled,
        config_value=message.config_value,
        limits=tuple(
            _limit(limit, below(field, f"limits[{at}]")) for at, limit in enumerate(message.limits)
        ),
        rates=tuple(
            _rate_limit(rate, below(field, f"rates[{at}]")) for at, rate in enumerate(message.rates)
        ),
        limit_changes=tuple(map(limit_change_from_message, message.limit_changes)),
        rate_changes=tuple(map(rate_change_from_message, message.rate_changes)),
        id=message.id,
        overdraft=message.overdraft,
        overdraft_change=overdraft_change,
        low_balance=tuple(message.low_balance),
    )


def limit_to_message(limit: Limit) -> catalog_pb2.Limit:
    """Turn a limit into a message."""
    throttle, rollover, swaps = limit.throttle, limit.rollover, limit.swaps
    usual = limit.credit_kind is GrantKind.PROMOTIONAL
    return catalog_pb2.Limit(
        id=limit.id,
        amount=limit.amount,
        window=window_to_message(limit.window),
        scope=scope_to_message(limit.scope),
        enforcement=catalog_pb2.Enforcement.ValueType(limit.enforcement),
        warning_percents=limit.warning_percents,
        throttle=None if throttle is None else rate_to_message(throttle),
        rollover=None if rollover is None else rollover_to_message(rollover),
        amounts=[
            catalog_pb2.ValueAmount(value=value, amount=amount) for value, amount in limit.amounts
        ],
        across=catalog_pb2.Across.ValueType(0 if limit.across is Across.EXACT else limit.across),
        priority=limit.priority,
        credit_kind=catalog_pb2.CreditKind.ValueType(0 if usual else limit.credit_kind),
        swaps=None if swaps is None else swaps_to_message(swaps),
    )


def rate_limit_to_message(rate: RateLimit) -> catalog_pb2.RateLimit:
    """Turn a short-term limit into a message."""
    return catalog_pb2.RateLimit(
        id=rate.id,
        rate=rate_to_message(rate.rate),
        enforcement=catalog_pb2.Enforcement.ValueType(rate.enforcement),
        scope=scope_to_message(rate.scope),
    )


def _limit(message: catalog_pb2.Limit, field: str) -> Limit:
    throttle = rollover = swaps = None
    if message.HasField("throttle"):
        throttle = rate_from_message(message.throttle, below(field, "throttle"))
    if message.HasField("rollover"):
        rollover = rollover_from_message(message.rollover)
    if message.HasField("swaps"):
        swaps = swaps_from_message(message.swaps, below(field, "swaps"))
    limit = Limit(
        id=message.id,
        window=window_from_message(message.window, below(field, "window")),
        amount=message.amount if message.HasField("amount") else None,
        enforcement=member(Enforcement, message.enforcement, below(field, "enforcement")),
        scope=scope_from_message(message.scope),
        warning_percents=tuple(message.warning_percents) or DEFAULT_WARNING_PERCENTS,
        throttle=throttle,
        rollover=rollover,
        amounts=tuple(
            (given.value, given.amount if given.HasField("amount") else None)
            for given in message.amounts
        ),
        across=member(Across, message.across, below(field, "across"), Across.EXACT),
        priority=message.priority,
        credit_kind=member(
            GrantKind, message.credit_kind, below(field, "credit_kind"), GrantKind.PROMOTIONAL
        ),
        swaps=swaps,
    )
    if message.across:
        refuse_any(named_across_problems(limit), field)
    return limit


def _rate_limit(message: catalog_pb2.RateLimit, field: str) -> RateLimit:
    return RateLimit(
        id=message.id,
        rate=rate_from_message(message.rate, below(field, "rate")),
        enforcement=member(Enforcement, message.enforcement, below(field, "enforcement")),
        scope=scope_from_message(message.scope),
    )
