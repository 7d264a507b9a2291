"""What `tallyd apply` leaves as calls have made it, and what it takes from them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import click

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import output
from sidecar.cli.common import printable
from sidecar.domain.company.field_values import ADD_ONS, FIELD_NAMES, OVERRIDES
from sidecar.domain.formatting import instant_text
from sidecar.shared.convert.times import instant

_EVERYTHING: Final = ""
_CREATES: Final = "CreateCompany"

take_over_option = click.option(
    "--take-over",
    is_flag=False,
    flag_value=_EVERYTHING,
    multiple=True,
    metavar="[COMPANY[.FIELD]]",
    help="Take what is in conflict from the calls that have changed it: all of it, or of one "
    "company, or one field, such as acme.plan; acme:plan where that may mean a company as well. "
    "May be given several times.",
)


def without_files(named: Sequence[str]) -> tuple[list[str], list[str]]:
    """Files that a bare option took for its value, as before them it does; and what it names."""
    files = [text for text in named if text == "-" or os.path.exists(text)]
    return files, [_EVERYTHING if text in files else text for text in named]


def take_over_messages(
    named: Sequence[str], companies: Collection[str]
) -> Iterator[control_pb2.TakeOver]:
    """Yield what the options mean: names of companies may have dots themselves.

    Raises `click.UsageError` where an option may mean several of the companies given.
    """
    for text in named:
        company, field = _split(text, companies)
        yield control_pb2.TakeOver(company=company, field=field)


def _split(text: str, companies: Collection[str]) -> tuple[str, str]:
    found = _readings(text, companies)
    if len(found) > 1:
        forms = " or ".join(f"--take-over {company}:{field}" for company, field in found)
        raise click.UsageError(f"--take-over {text} may mean several: say {forms}")
    if found:
        return found[0]
    company, colon, field = text.rpartition(":")
    if colon and (not field or _is_field(field)):
        return company, field
    begins = [company for company in companies if text.startswith(f"{company}.")]
    if begins:
        company = max(begins, key=len)
        return company, text[len(company) + 1 :]
    company, _, field = text.partition(".")
    return (company, field) if field.partition(".")[0] in FIELD_NAMES else (text, "")


def _readings(text: str, companies: Collection[str]) -> list[tuple[str, str]]:
    """What an option may mean of the companies given: with a colon it is the one that that says."""
    splits = [(text[:at], text[at], text[at + 1 :]) for at, sign in enumerate(text) if sign in ".:"]
    found = [
        (company, sign, field)
        for company, sign, field in splits
        if company in companies and (_is_field(field) or (sign == ":" and not field))
    ]
    exact = [(company, field) for company, sign, field in found if sign == ":"]
    whole = [(text, "")] if text in companies else []
    return exact or whole + [(company, field) for company, _, field in found]


def _is_field(text: str) -> bool:
    """Whether a company may have a field that is written so, such as `plan` or `add_ons.gb`."""
    word, _, key = text.partition(".")
    return word in FIELD_NAMES and bool(key) == (word in (ADD_ONS, OVERRIDES))


def _spelled(conflict: control_pb2.Conflict, companies: Collection[str]) -> str:
    """How an option names what is in conflict: with a dot, and a colon where that says another."""
    text = _name(conflict)
    meant = (conflict.company, conflict.field)
    readings = _readings(text, companies)
    if readings == [meant] or (not readings and _split(text, companies) == meant):
        return text
    return printable(f"{conflict.company}:{conflict.field}")


def print_conflicts(answer: control_pb2.ApplyResponse, companies: Collection[str]) -> None:
    """Print what stays, and how to take it. `companies`: ids of those in the files."""
    for conflict in answer.conflicts:
        output.print_line(output.paint(_headline(conflict), "magenta"))
        given = printable(conflict.given) if conflict.HasField("given") else "nothing"
        if conflict.field:
            output.print_line(f"    the file says {given}, {_in_force(conflict)}")
        output.print_line(f"    {_whose(conflict)}")
    hidden = answer.conflicted - len(answer.conflicts)
    if hidden > 0:
        output.print_line(f"  and {output.number(hidden)} more")
    if answer.conflicted:
        output.print_text(
            f"{output.number(answer.conflicted)} in conflict: left as it is. --take-over takes all "
            f"of it, --take-over {_spelled(answer.conflicts[0], companies)} this one"
        )


def _name(conflict: control_pb2.Conflict) -> str:
    field = f".{conflict.field}" if conflict.field else ""
    return printable(f"{conflict.company}{field}")


def _headline(conflict: control_pb2.Conflict) -> str:
    return f"! company {_name(conflict)}" + ("" if conflict.field else " is not removed")


def _in_force(conflict: control_pb2.Conflict) -> str:
    if not conflict.HasField("in_force"):
        return "there is none"
    return f"in force is {printable(conflict.in_force)}"


def _whose(conflict: control_pb2.Conflict) -> str:
    done = "created" if conflict.call == _CREATES else "changed"
    since = instant_text(instant(conflict.since, "since"))
    return f"{done} by {printable(conflict.call)} at {since}"
