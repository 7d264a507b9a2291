"""What explaining credits, seats and levels says beside limits: sources, holders, sentences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import output
from sidecar.cli.output import Cell, number
from sidecar.cli.times import local_minute
from sidecar.shared.api_json import instant_of

HOLDERS_SHOWN: Final = 5
_SOURCES: Final = ("burns from", "amount", "burned", "left", "ends")


class KindDetails(msgspec.Struct, frozen=True):
    """What was asked beside the explanation; `None` for what the feature's kind has not.

    `balance`: usage of a feature of credits, source by source. `seats`: who has a seat.
    """

    balance: pb.GetUsageResponse | None = None
    seats: pb.ListSeatsResponse | None = None

    @property
    def sources(self) -> list[pb.LimitStatus]:
        """What the balance burns from."""
        features = () if self.balance is None else self.balance.features
        return [limit for feature in features for limit in feature.limits]


def kind_headline(answer: pb.ExplainEntitlementResponse, company: str, details: KindDetails) -> str:
    """The first line, where the kind of the feature has one of its own; else empty."""
    decision, feature = answer.decision, answer.entitlement.feature
    name = output.printable(feature.key)
    if feature.kind == catalog_pb2.FEATURE_KIND_CREDITS and decision.allowed:
        left = sum(limit.remaining for limit in details.sources)
        return output.paint(
            f"{company} can spend {number(left)} of {name}", "green" if left else "red"
        )
    if feature.kind == catalog_pb2.FEATURE_KIND_SEATS:
        if decision.allowed:
            return output.paint(f"{company} has a seat of {name} for another holder", "green")
        if decision.reason == pb.REASON_SEATS_EXHAUSTED:
            told = f"{company} has no seat of {name} for another holder: SEATS_EXHAUSTED"
            return output.paint(told, "red")
    return ""


def kind_facts(details: KindDetails) -> Iterable[tuple[str, Cell]]:
    """Who has a seat."""
    answer = details.seats
    if answer is None:
        return
    holders = [output.printable(seat.holder) for seat in answer.seats]
    held = max((limit.used for limit in answer.limits), default=len(holders))
    told = ", ".join(holders[:HOLDERS_SHOWN]) or "nobody"
    if held > HOLDERS_SHOWN:
        told += f" and {number(held - HOLDERS_SHOWN)} more"
    yield "held by", f"{told}, as far as is known here" if answer.partial else told


def print_sources_of_balance(details: KindDetails) -> None:
    """Print what a balance burns from, in burn order, in micro-credits."""
    rows: list[list[Cell]] = [
        [
            limit.limit,
            limit.amount + limit.carried,
            limit.used,
            limit.remaining,
            local_minute(instant_of(limit.resets_at)) if limit.HasField("resets_at") else "never",
        ]
        for limit in details.sources
    ]
    output.print_table(_SOURCES, rows, tight=True)


def kind_sentence(answer: pb.ExplainEntitlementResponse) -> str:
    """What decided, where the kind of the feature says it in a way of its own; else empty."""
    decision, feature = answer.decision, answer.entitlement.feature
    if feature.kind == catalog_pb2.FEATURE_KIND_CREDITS and decision.allowed:
        return "Usage of features that cost it burns what is left, in this order."
    if feature.kind == catalog_pb2.FEATURE_KIND_SEATS:
        return _seats_sentence(answer)
    return ""


def burn_sentence(decision: pb.Decision) -> str:
    """What a check costs, and what is left of it then; empty for what costs nothing."""
    told = []
    for burned in decision.burned:
        what = f"{number(burned.needed)} of {output.printable(burned.feature)}"
        if decision.reason == pb.REASON_CREDITS_EXHAUSTED:
            told.append(f"It costs {what}, of which {number(burned.left)} are left.")
        elif decision.allowed and burned.HasField("left"):
            told.append(f"It burns {what}; {number(burned.left)} are left after this.")
    return " ".join(told)


def _seats_sentence(answer: pb.ExplainEntitlementResponse) -> str:
    """How many seats are held of the limit that binds, before the one that is asked about."""
    decision = answer.decision
    bound = [limit for limit in answer.limits if limit.limit == decision.binding_limit.limit]
    if not bound or not bound[0].HasField("amount"):
        return ""
    limit = bound[0]
    of = f"{number(limit.used)} of {number(limit.amount)} seats are held"
    if decision.allowed:
        return f"{of}, and more may be." if limit.used >= limit.amount else f"{of}."
    if decision.reason != pb.REASON_SEATS_EXHAUSTED:
        return ""
    told = f"{of}: who has one keeps it, and a new holder is refused"
    if limit.HasField("resets_at"):
        return f"{told} until {local_minute(instant_of(limit.resets_at))}."
    return f"{told} until one is given back."
