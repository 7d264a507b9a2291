"""What features of one kind alone have, in words for people: prices, overdraft, swaps, levels."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.output import number
from sidecar.cli.times import span_of
from sidecar.cli.window_words import window_words
from sidecar.shared.api_json import enum_name


def limit_kind_notes(limit: catalog_pb2.Limit) -> Iterable[str]:
    """Write what a limit says that is of its feature's kind, but for what is usual."""
    if limit.priority:
        yield f"priority {limit.priority}"
    if limit.credit_kind == catalog_pb2.CREDIT_KIND_PAID:
        yield "paid"
    if limit.HasField("swaps"):
        swaps = limit.swaps
        many = "swap" if swaps.amount == 1 else "swaps"
        yield f"at most {number(swaps.amount)} {many} per {window_words(swaps.window)}"


def balance_lines(granted: pb.Entitlement | catalog_pb2.EntitlementGrant) -> list[str]:
    """Write how much of a balance may be owed, if anything, and what a low one is."""
    lines = [f"overdraft: {number(granted.overdraft)}"] if granted.overdraft else []
    if granted.low_balance:
        lines.append(f"low balance: {', '.join(map(number, granted.low_balance))}")
    return lines


def overdraft_change_text(change: catalog_pb2.OverdraftChange) -> str:
    """Write a change of how much may be owed: `overdraft: +1000` or `overdraft: 5000`."""
    return f"overdraft: {'+' if change.adds else ''}{number(change.amount)}"


def feature_kind_lines(feature: catalog_pb2.Feature) -> Iterable[str]:
    """Write what usage of a feature costs, how long what is in use lives, how it is billed."""
    for cost in feature.costs:
        yield f"costs {cost.credits}: {_table_text(cost)}"
    if feature.HasField("ttl_max"):
        yield f"comes back after {span_of(feature.ttl_max.ToMicroseconds())} at most"
    if feature.HasField("billing"):
        measure = str(enum_name(catalog_pb2.LevelMeasure.DESCRIPTOR, feature.billing.measure))
        yield f"billed by {measure.lower()} per {window_words(feature.billing.window)}"


def price_text(price: catalog_pb2.Price) -> str:
    """Write a price: `free`, `2`, or `1 per 500` units."""
    if not price.micro_credits:
        return "free"
    amount = number(price.micro_credits)
    return amount if price.per in (0, 1) else f"{amount} per {number(price.per)}"


def _table_text(cost: catalog_pb2.FeatureCost) -> str:
    parts = [f"{price_text(each.price)} for {each.value}" for each in cost.prices]
    if cost.HasField("otherwise"):
        price = price_text(cost.otherwise)
        parts.append(f"{price} for others" if parts else price)
    return ", ".join(parts)
