"""`tallyd company`: creates, renames, lists, shows, removes and exports companies."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import click

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import control_option, examples, json_option, printable, timeout_option_of
from sidecar.cli.company_tables import json_of_companies, print_companies, print_owners
from sidecar.cli.completion import complete_add_on, complete_company, complete_plan
from sidecar.cli.exports import Plane, export
from sidecar.cli.servers import connect, require_current_plane
from sidecar.cli.subscription_calls import (
    Call,
    call_options,
    company_argument,
    history_option,
    show_company,
)
from sidecar.cli.times import InstantType, local_time, take_zone_from
from sidecar.domain.bounds import ADD_ON_QUANTITY_MAX
from sidecar.domain.company.held_plans import held_at
from sidecar.domain.company.model import AddOnSubscription, Company, Subscription
from sidecar.domain.time.zones import is_zone
from sidecar.shared.api_json import instant_of, json_of_message
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.wall_clock import wall_us

_LISTED_MAX: Final = 1_000


class HeldType(click.ParamType[AddOnSubscription]):
    """An add-on, perhaps with its quantity: `seats` or `seats=5`."""

    name = "add-on"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> AddOnSubscription:
        """Parse it."""
        if isinstance(value, AddOnSubscription):
            return value
        key, sign, number = str(value).rpartition("=")
        if not sign:
            return AddOnSubscription(number)
        if not number.isascii() or not number.isdigit():
            self.fail(f"{value!r} has no quantity such as seats=5", param, ctx)
        if not 1 <= int(number) <= ADD_ON_QUANTITY_MAX:
            self.fail(f"{number} is not 1 to {ADD_ON_QUANTITY_MAX}", param, ctx)
        return AddOnSubscription(key, int(number))


def _zone(ctx: click.Context, param: click.Parameter, zone: str) -> str:
    if not is_zone(zone):
        raise click.BadParameter(f"{zone!r} is no time zone such as Europe/Berlin", ctx, param)
    take_zone_from(ctx, lambda: zone)
    return zone


@click.group(
    epilog=examples(
        "tallyd company create acme --plan pro --time-zone Europe/Berlin",
        "tallyd company rename acme acme-inc",
        "tallyd company list --plan pro",
        "tallyd company export acme > acme.yaml",
    ),
)
def command() -> None:
    """Create, rename, list, show, remove and export companies.

    What is created and changed here stays when a file is applied: see `tallyd apply --help`.
    """


@command.command()
@click.argument("company")
@click.option("--plan", metavar="KEY", shell_complete=complete_plan, help="Plan that it buys.")
@click.option(
    "--anchor",
    type=InstantType(),
    metavar="TIME",
    help="Start of the billing cycle; left out: now, or the end of the plan's trial.",
)
@click.option(
    "--time-zone",
    default="UTC",
    show_default=True,
    metavar="ZONE",
    callback=_zone,
    is_eager=True,
    help="Time zone of its calendar, in which its days begin.",
)
@click.option("--name", default="", metavar="TEXT", help="Name for people.")
@click.option(
    "--add-on",
    "add_ons",
    type=HeldType(),
    multiple=True,
    metavar="KEY[=QUANTITY]",
    shell_complete=complete_add_on,
    help="Add-on that it buys; may be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Say whether it could be, and create nothing.")
@control_option
@timeout_option_of("10s")
@json_option
def create(
    company: str,
    plan: str | None,
    anchor: int | None,
    time_zone: str,
    name: str,
    add_ons: tuple[AddOnSubscription, ...],
    dry_run: bool,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Create COMPANY. The same once more changes nothing, so that a retry does no harm.

    Without --plan everything is denied to it, until `tallyd subscription change` gives it one;
    where the catalog has a default plan, name one.
    """
    if plan is None and (add_ons or anchor is not None):
        raise click.UsageError("--add-on and --anchor need --plan")
    subscription = None
    if plan is not None:
        subscription = Subscription(plan, anchor, add_ons=add_ons)
    request = control_pb2.CreateCompanyRequest(
        company=company_to_message(Company(company, name, time_zone, subscription)),
        dry_run=dry_run,
    )
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.CreateCompany(request, timeout=timeout_s)
    if as_json:
        output.print_json({**json_of_message(answer), "dry_run": dry_run})
        return
    told = "created" if answer.created else "is there already"
    if dry_run and answer.created:
        told = "could be created; dry run, nothing was changed"
    output.print_line(f"{printable(company)}: {told}; revision {answer.revision}")
    bought = answer.company.subscription
    if answer.created and bought.HasField("anchor"):
        begins = f"billing cycle from {local_time(instant_of(bought.anchor))}"
        trial = "no trial"
        if bought.HasField("trial_ends_at"):
            trial = f"trial until {local_time(instant_of(bought.trial_ends_at))}"
        output.print_line(f"{trial}; {begins}")


@command.command()
@click.argument("company", shell_complete=complete_company)
@click.argument("new_id")
@click.option("--dry-run", is_flag=True, help="Say whether it could be, and change nothing.")
@control_option
@timeout_option_of("10s")
@json_option
def rename(
    company: str, new_id: str, dry_run: bool, control_address: str, timeout_s: float, as_json: bool
) -> None:
    """Give COMPANY the id NEW_ID. Its usage stays with it, and its former ids go on leading to it.

    In a file, say `renamed_from` under the new id, or the file would create another company.
    """
    request = control_pb2.RenameCompanyRequest(company=company, new_id=new_id, dry_run=dry_run)
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.RenameCompany(request, timeout=timeout_s)
    if as_json:
        output.print_json({**json_of_message(answer), "dry_run": dry_run})
        return
    told = (
        f"renamed to {printable(new_id)}"
        if answer.renamed
        else f"is called {printable(new_id)} already"
    )
    if dry_run and answer.renamed:
        told = f"could be renamed to {printable(new_id)}; dry run, nothing was changed"
    output.print_line(f"{printable(company)}: {told}; revision {answer.revision}")


@command.command("list")
@click.option("--plan", metavar="KEY", shell_complete=complete_plan, help="Only those on a plan.")
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, 100_000),
    default=_LISTED_MAX,
    show_default=True,
    help="At most this many companies.",
)
@control_option
@timeout_option_of("10s")
@json_option
def list_command(
    plan: str | None, most: int, control_address: str, timeout_s: float, as_json: bool
) -> None:
    """List companies with plan and status, in the order of their ids."""
    now_us = wall_us()
    with connect("control", control_address) as channel:
        plane = Plane(control_pb2_grpc.ControlServiceStub(channel), timeout_s)
        found = _found(plane, plan, now_us, most + 1)
    if as_json:
        output.print_json(json_of_companies(found[:most], now_us, more=len(found) > most))
    else:
        print_companies(found[:most], now_us, more=len(found) > most)


def _found(plane: Plane, plan: str | None, now_us: int, most: int) -> list[Company]:
    found: list[Company] = []
    for company in plane.companies():
        if plan is None or plan in _plans(company, now_us):
            found.append(company)
            if len(found) == most:
                break
    return found


def _plans(company: Company, now_us: int) -> Iterator[str]:
    if company.subscription is not None:
        yield held_at(company.subscription, now_us).plan


@command.command()
@company_argument
@history_option
@call_options
def show(call: Call, history: bool) -> None:
    """Show COMPANY, its timeline, and what of it calls have changed."""
    answer = show_company(call, history=history)
    if not call.as_json:
        print_owners(answer)


@command.command()
@click.argument("company", shell_complete=complete_company)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and change nothing.")
@control_option
@timeout_option_of("10s")
@json_option
def remove(
    company: str, yes: bool, dry_run: bool, control_address: str, timeout_s: float, as_json: bool
) -> None:
    """Remove COMPANY: everything is denied from then on. Its usage stays in the ledger."""
    with connect("control", control_address) as channel:
        plane = Plane(control_pb2_grpc.ControlServiceStub(channel), timeout_s)
        require_current_plane(channel, timeout_s)
        plane.company(company)  # refuses one that is unknown, by the nearest name
        if not (yes or dry_run):
            if not sys.stdin.isatty():
                raise click.UsageError("say --yes where nobody can be asked")
            click.confirm(f"Remove {printable(company)}?", abort=True, err=True)
        request = control_pb2.ApplyRequest(remove_companies=[company], dry_run=dry_run)
        answer = plane.stub.Apply(request, timeout=timeout_s)
    if as_json:
        output.print_json({**json_of_message(answer), "dry_run": dry_run})
        return
    told = "would be removed; dry run, nothing was changed" if dry_run else "removed"
    output.print_line(f"{printable(company)}: {told}; revision {answer.revision}")


@command.command("export")
@click.argument("companies", nargs=-1, metavar="[COMPANY]...", shell_complete=complete_company)
@control_option
@timeout_option_of("60s")
@json_option
def export_command(
    companies: tuple[str, ...], control_address: str, timeout_s: float, as_json: bool
) -> None:
    """Print companies, or all of them, as a file that changes nothing when it is applied.

    What a file does not say, such as what was granted by calls, is told on stderr.
    """
    with connect("control", control_address) as channel:
        plane = Plane(control_pb2_grpc.ControlServiceStub(channel), timeout_s)
        catalog = plane.catalog()
        names = sorted(set(companies))
        found = [plane.company(name) for name in names] if names else list(plane.companies())
    export(catalog, found, with_catalog=False, as_json=as_json)
