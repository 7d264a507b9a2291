"""What usage costs in credits, and what it burns, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import output
from sidecar.cli.output import Cell, Painted, number


def burned_facts(decision: pb.Decision) -> Iterator[tuple[str, Cell]]:
    """What was burned of each balance, or would have been: `6 of credits: 5 from monthly, ...`."""
    for burned in decision.burned:
        text = f"{number(burned.needed)} of {output.printable(burned.feature)}"
        if not decision.allowed:
            yield "needs", Painted(f"{text}; {number(burned.left)} left", "yellow")
            continue
        if burned.parts:
            parts = (
                f"{number(it.amount)} from {output.printable(it.source)}" for it in burned.parts
            )
            text += f": {', '.join(parts)}"
        if burned.amount < burned.needed:
            text += f"; {number(burned.needed - burned.amount)} is for the control plane to burn"
        if burned.HasField("left"):
            text += f"; {number(burned.left)} left"
        yield "burns", text
        for threshold in burned.low_balance:
            name = output.printable(burned.feature)
            yield "warning", Painted(f"{name} is at or below {number(threshold)}", "yellow")


def price_facts(
    feature: catalog_pb2.Feature, dimensions: Mapping[str, str]
) -> Iterator[tuple[str, Cell]]:
    """What usage with these dimensions costs of each balance: `2 of credits for 3 tokens`."""
    for cost in feature.costs:
        value = dimensions.get(cost.by, "")
        price = next((each.price for each in cost.prices if each.value == value), None)
        if price is None and cost.HasField("otherwise"):
            price = cost.otherwise
        if price is None:
            continue
        by = f" ({cost.by} {output.printable(value)})" if cost.by and value else ""
        unit = feature.unit or "units"
        name = output.printable(cost.credits)
        per = number(price.per or 1)
        yield "price", f"{number(price.micro_credits)} of {name} for {per} {unit}{by}"
