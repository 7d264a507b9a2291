"""Sources of an entitlement, and the limits that apply to a check, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import output
from sidecar.cli.describe import (
    carried_text,
    drains_us,
    enforcement_name,
    grant_lines,
    is_rate,
    pairs,
    shared_rate_words,
    wait_text,
)
from sidecar.cli.output import NOTHING, Cell, Painted, number
from sidecar.cli.window_words import per_words
from sidecar.shared.api_json import enum_name, instant_of

CHANGES_NOTHING: Final = (pb.SOURCE_EFFECT_SILENT, pb.SOURCE_EFFECT_OUTRANKED)
"""Effects of sources that leave what was granted before."""
_EFFECT_COLOURS: Final = {
    pb.SOURCE_EFFECT_GRANTED: "green",
    pb.SOURCE_EFFECT_ADDED: "green",
    pb.SOURCE_EFFECT_REPLACED: "yellow",
}
_SOURCE_TITLES: Final = ("source", "says", "effect", "then granted")
_LIMIT_TITLES: Final = ("limit", "allows", "for", "enforcement", "used", "left", "resets in")


def print_sources(answer: pb.ExplainEntitlementResponse) -> None:
    """Print every source in the order of merging, what it says, does, and leaves granted."""
    output.print_table(_SOURCE_TITLES, _source_rows(answer), tight=True)


def print_limits(answer: pb.ExplainEntitlementResponse, at_us: int) -> None:
    """Print every limit and rate that applies, as of an instant; the one that binds is marked."""
    output.print_table(_LIMIT_TITLES, _limit_rows(answer, at_us), tight=True)


def source_name(source: pb.EntitlementSource) -> str:
    """Name a source: `plan pro`, `add-on boost x 2`, `override` or `default plan free`."""
    name = str(enum_name(pb.SourceKind.DESCRIPTOR, source.kind)).lower().replace("_", " ")
    if source.kind == pb.SOURCE_KIND_ADD_ON:
        return f"add-on {times_held(source.key, source.quantity)}"
    if source.kind == pb.SOURCE_KIND_OVERRIDE:
        return f"{name} {source.key}" if source.key else name
    return f"{name} {source.key}" if source.key else f"no {name}"


def times_held(key: str, quantity: int) -> str:
    """Write how many are held, where it is more than one: `boost x 2`."""
    return key if quantity in (0, 1) else f"{key} x {number(quantity)}"


def _source_rows(answer: pb.ExplainEntitlementResponse) -> Iterable[list[Cell]]:
    """Return a row for each source, and more where it says or leaves several things."""
    kind = answer.entitlement.feature.kind
    before: list[str] = []
    granted = catalog_pb2.EntitlementGrant()
    for source in answer.sources:
        says = grant_lines(source.grant, kind) if source.HasField("grant") else []
        after = grant_lines(source.result, kind) if source.HasField("result") else []
        missing, granted = _missing(source.grant, granted), source.result
        effect = str(enum_name(pb.SourceEffect.DESCRIPTOR, source.effect)).lower()
        if source.effect == pb.SOURCE_EFFECT_SILENT and source.HasField("grant"):
            effect = "no effect"
        name: Cell = source_name(source)
        done: Cell = Painted(effect, _EFFECT_COLOURS.get(source.effect, "bright_black"))
        then = [*_then(source, before, says, after), *missing]
        for said, left in zip_longest(says or [NOTHING], then, fillvalue=""):
            yield [name, said, done, left]
            name = done = ""
        before = after


def _missing(
    changes: catalog_pb2.EntitlementGrant, before: catalog_pb2.EntitlementGrant
) -> list[str]:
    """Say what changes name that was not granted before."""
    limits, rates = {limit.id for limit in before.limits}, {rate.id for rate in before.rates}
    named = [("limit", each.limit) for each in changes.limit_changes if each.limit not in limits]
    named += [("rate", each.rate) for each in changes.rate_changes if each.rate not in rates]
    return [f"there is no {what} '{name}'" for what, name in named]


def _then(
    source: pb.EntitlementSource, before: list[str], says: list[str], after: list[str]
) -> list[str]:
    """Say what is granted after a source, in short: what it changed, and that others stay."""
    if not after:
        return ["nothing"]
    if source.effect in CHANGES_NOTHING:
        return ["as before"]
    if after == says:
        return ["what it says"]
    changed = [line for line in after if line not in before]
    return changed if len(changed) == len(after) else [*changed, "others as before"]


def _limit_rows(answer: pb.ExplainEntitlementResponse, at_us: int) -> Iterable[list[Cell]]:
    entitlement, decision = answer.entitlement, answer.decision
    kind = entitlement.feature.kind
    windows = {limit.id: per_words(limit.window, kind) for limit in entitlement.limits}
    scopes = {limit.id: limit.scope for limit in entitlement.limits}
    scopes.update({rate.id: rate.scope for rate in entitlement.rates})
    across = catalog_pb2.ACROSS_EVENTUAL
    eventual = {limit.id for limit in entitlement.limits if limit.across == across}
    binding = decision.binding_limit.limit if decision.HasField("binding_limit") else None
    for status in answer.limits:
        name = status.limit
        yield [
            Painted(f"{name} {output.mark()}", "cyan") if name == binding else name,
            shared_rate_words(status) if is_rate(status) else _allowance(status, windows[name]),
            pairs({**scopes[name].match, **status.dimensions}) or "all",
            _enforcement(status, decision, is_eventual=name in eventual),
            status.used,
            status.remaining if status.HasField("remaining") else None,
            _resets_in(status, at_us),
        ]


def _allowance(status: pb.LimitStatus, window: str) -> str:
    amount = number(status.amount) if status.HasField("amount") else "unlimited"
    more = carried_text(status)
    carried = f"{' +' if status.carried > 0 else ','} {more}" if more else ""
    return f"{amount} {window}{carried}"


def _enforcement(status: pb.LimitStatus, decision: pb.Decision, *, is_eventual: bool) -> Cell:
    name = enforcement_name(status.enforcement)
    if is_eventual:
        name += ", eventual"
    if status.limit in decision.shadow_denials:
        return Painted(f"{name}, would deny", "yellow")
    if status.enforcement == catalog_pb2.ENFORCEMENT_THROTTLE:
        name += f" to {shared_rate_words(status)}"
    return Painted(name, "yellow") if status.limit in decision.throttled else name


def _resets_in(status: pb.LimitStatus, at_us: int) -> str:
    if is_rate(status):
        return wait_text(drains_us(status)) if status.used else NOTHING
    if not status.HasField("resets_at"):
        return "never"
    return wait_text(max(0, instant_of(status.resets_at) - at_us))
