"""Companies, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import output
from sidecar.cli.describe import status_name
from sidecar.cli.output import NOTHING, Cell
from sidecar.cli.times import local_minute
from sidecar.domain.company.model import Company
from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.domain.formatting import add_ons_text
from sidecar.shared.api_json import instant_of, json_of_message
from sidecar.shared.convert.companies import company_to_message

_TITLES: Final = ("company", "plan", "status", "add-ons", "name")


def print_companies(companies: Sequence[Company], now_us: int, *, more: bool) -> None:
    """Print a table of companies. `more`: there are others."""
    if not companies:
        output.print_line("there are no such companies")
        return
    output.print_table(_TITLES, _rows(companies, now_us), tight=True)
    if more:
        output.print_line("and more: --max")


def json_of_companies(
    companies: Iterable[Company], now_us: int, *, more: bool
) -> dict[str, object]:
    """The same for scripts."""
    told = [
        {**json_of_message(company_to_message(company)), "status": _status(company, now_us)}
        for company in companies
    ]
    return {"companies": told, "more": more}


def print_owners(answer: control_pb2.GetCompanyResponse) -> None:
    """Print what of a company calls have changed, and what the plane has set."""
    for owner, title, how in (
        (control_pb2.OWNER_API, "changed by calls, and so not by files:", ""),
        (control_pb2.OWNER_PLANE, "set by the plane, until a file says otherwise:", "by its plan"),
    ):
        owned = [each for each in answer.owners if each.owner == owner]
        if owned:
            output.print_line()
            output.print_line(title)
        for each in owned:
            since = local_minute(instant_of(each.since))
            output.print_text(f"  {each.field or '(created)'}: {each.call or how}, {since}")


def _rows(companies: Iterable[Company], now_us: int) -> Iterable[list[Cell]]:
    for company in companies:
        segment = segment_at(compile_snapshot(company, 1), now_us)
        yield [
            company.id,
            segment.plan or NOTHING,
            _status(company, now_us),
            add_ons_text(segment.add_ons) if segment.add_ons else NOTHING,
            company.name or NOTHING,
        ]


def _status(company: Company, now_us: int) -> str:
    return status_name(segment_at(compile_snapshot(company, 1), now_us).status)
