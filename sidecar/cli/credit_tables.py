"""Balances of credits and what became of them, for people. Amounts are micro-credits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import credits_pb2
from sidecar.cli import output
from sidecar.cli.output import NOTHING, Cell, Painted, number, printable
from sidecar.cli.times import local_minute, local_time, until
from sidecar.shared.api_json import instant_of

_SOURCES: Final = ("source", "prio", "ends", "amount", "burned", "leased", "left", "")
_GRANTS: Final = ("id", "amount", "burned", "leased", "left", "gone", "ends", "")
_EVENTS: Final = ("at", "what", "amount", "from", "record", "reason")
_STORE_CELLS: Final = 8
"""Of a store's UUID; --json has all of it."""
_KINDS: Final = {
    credits_pb2.CREDIT_EVENT_KIND_GRANTED: "granted",
    credits_pb2.CREDIT_EVENT_KIND_VOIDED: "voided",
    credits_pb2.CREDIT_EVENT_KIND_EXPIRED: "expired",
    credits_pb2.CREDIT_EVENT_KIND_BURNED: "burned",
    credits_pb2.CREDIT_EVENT_KIND_REFUNDED: "refunded",
    credits_pb2.CREDIT_EVENT_KIND_REPAID: "repaid",
}


def print_granted(
    company: str, answer: credits_pb2.GrantCreditsResponse, now_us: int, *, dry_run: bool
) -> None:
    """Tell what was granted, or would be."""
    held = answer.grant
    given = held.grant
    told = f"{number(given.amount)} micro-credits of {printable(given.feature)}"
    if given.HasField("expires"):
        told += f", until {until(instant_of(given.expires), now_us)}"
    what = f"{printable(company)}: {told}"
    if dry_run:
        output.print_line(f"dry run, nothing was granted; would be: {what}")
        return
    how = "granted as" if answer.changed else "was granted already, as"
    output.print_line(f"{what}; {how} {printable(given.id)}; revision {answer.revision}")
    if answer.repaid:
        output.print_line(f"{number(answer.repaid)} of it, or of what else is left, repaid a debt")


def print_voided(
    company: str, answer: credits_pb2.VoidCreditGrantResponse, *, dry_run: bool
) -> None:
    """Tell what a void took, or would."""
    held, account = answer.grant, answer.grant.account
    name = f"{printable(company)}: {printable(held.grant.id)}"
    if dry_run:
        output.print_line(
            f"dry run, nothing was voided; {name} would lose {number(account.voided)}"
        )
        return
    voided = number(account.voided)
    output.print_line(f"{name}: voided, took {voided}; {number(account.burned)} were burned")
    if not answer.complete:
        output.print_text(
            f"{number(account.leased)} more are at sidecars, which were asked for them: what they "
            "have not burned is voided, too. The same command again says how much that was."
        )


def print_balances(company: str, balances: Sequence[credits_pb2.CreditBalance]) -> None:
    """Show balances, each with its sources."""
    if not balances:
        output.print_line(f"{printable(company)} has no credits")
    for at, balance in enumerate(balances):
        if at:
            output.print_line()
        facts: list[tuple[str, Cell]] = [
            ("feature", balance.feature),
            ("balance", _amount_cell(balance.balance)),
            ("leased", number(balance.leased)),
        ]
        if balance.debt or balance.overdraft:
            facts.append(("debt", f"{number(balance.debt)} of {number(balance.overdraft)}"))
        if balance.upcoming:
            facts.append(("later", number(balance.upcoming)))
        output.print_facts(facts)
        if balance.sources:
            output.print_table(_SOURCES, map(_source_row, balance.sources), tight=True)


def print_grants(company: str, grants: Sequence[credits_pb2.HeldCreditGrant]) -> None:
    """List grants, and what became of them."""
    if grants:
        several = len({held.grant.feature for held in grants}) > 1
        output.print_table(_GRANTS, (_grant_row(held, several) for held in grants), tight=True)
    else:
        output.print_line(f"{printable(company)} was granted no credits")


def print_history(company: str, events: Sequence[credits_pb2.CreditEvent], *, more: bool) -> None:
    """List what happened to balances."""
    if not events:
        output.print_line(f"nothing happened to credits of {printable(company)}")
        return
    several = len({event.feature for event in events}) > 1
    output.print_table(_EVENTS, (_event_row(event, several) for event in events), tight=True)
    if more:
        output.print_line("there are more: --max shows more of them, --from later ones")


def print_refund(company: str, answer: credits_pb2.RefundCreditsResponse, *, dry_run: bool) -> None:
    """Tell what was given back, or would be."""
    feature = answer.feature
    beginning = "dry run, nothing was given back; would be: " if dry_run else ""
    again = "" if answer.changed else " (by an earlier call)"
    told = f"{number(answer.returned)} micro-credits of {feature} returned{again}"
    output.print_text(f"{beginning}{company}: {told}, {number(answer.lost)} were lost")
    for part in answer.parts:
        lost = ": lost, nothing can return there any more" if part.lost else ""
        output.print_line(f"  {number(part.amount)} to {printable(_name_of(part))}{lost}")


def _source_row(source: credits_pb2.CreditSource) -> list[Cell]:
    account = source.account
    notes = ["recurs"] * bool(source.limit)
    notes += ["paid"] * (source.kind == catalog_pb2.CREDIT_KIND_PAID)
    name = source.grant or source.limit
    return [
        f"{name} ({', '.join(notes)})" if notes else name,
        source.priority,
        _minute(source.window, "end"),
        account.amount,
        account.burned,
        account.leased,
        account.left,
        "" if source.in_force else f"from {_minute(source.window, 'start')}",
    ]


def _grant_row(held: credits_pb2.HeldCreditGrant, with_feature: bool) -> list[Cell]:
    account, given = held.account, held.grant
    return [
        f"{given.id} ({given.feature})" if with_feature else given.id,
        account.amount,
        account.burned,
        account.leased,
        account.left,
        account.expired + account.voided + account.lost,
        _ends(instant_of(given.expires)) if given.HasField("expires") else "never",
        _state(held),
    ]


def _state(held: credits_pb2.HeldCreditGrant) -> Cell:
    account = held.account
    if account.overcommitted:
        return Painted(f"{number(account.overcommitted)} too much", "red")
    if held.HasField("voided_at"):
        return Painted("voided" if not account.leased else "being voided", "yellow")
    if account.expired:
        return Painted("expired", "bright_black")
    return Painted(f"{number(account.lost)} lost", "yellow") if account.lost else ""


def _event_row(event: credits_pb2.CreditEvent, with_feature: bool) -> list[Cell]:
    what, at_us = _KINDS.get(event.kind, ""), instant_of(event.at)
    return [
        local_minute(at_us) if output.is_narrow() else local_time(at_us),
        f"{what} ({event.feature})" if with_feature else what,
        event.amount,
        event.grant or ", ".join(_part_texts(event.parts)) or NOTHING,
        _record_cell(event.record),
        event.reason or NOTHING,
    ]


def _record_cell(record: str) -> str:
    """A record's id; on a narrow terminal its beginning and end, which tell records apart."""
    if not record or not output.is_narrow():
        return record or NOTHING
    store, _, sequence = record.rpartition("-")
    return f"{store[:_STORE_CELLS]}..-{sequence}"


def _part_texts(parts: Sequence[credits_pb2.CreditEventPart]) -> Iterable[str]:
    for part in parts:
        amount = f" {number(part.amount)}" if len(parts) > 1 else ""
        yield f"{_name_of(part)}{amount}{' (lost)' if part.lost else ''}"


def _name_of(part: credits_pb2.CreditEventPart) -> str:
    return "overdraft" if part.overdraft else part.grant or part.limit


def _minute(window: catalog_pb2.WindowInstance, edge: Literal["start", "end"]) -> str:
    return _ends(instant_of(getattr(window, edge))) if window.HasField(edge) else "never"


def _ends(at_us: int) -> str:
    """An instant for a table; on a narrow terminal its day, so that amounts have room."""
    told = local_minute(at_us)
    return told.split()[0] if output.is_narrow() else told


def _amount_cell(amount: int) -> Cell:
    return Painted(number(amount), "red") if amount <= 0 else number(amount)
