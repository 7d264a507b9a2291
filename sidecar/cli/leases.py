"""`tallyd leases`: shows who may count how much of which limit by itself, and takes it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import F, control_option, examples, json_option, timeout_option
from sidecar.cli.completion import complete_company, complete_feature
from sidecar.cli.lease_tables import json_of_leases, print_leases, print_recovery
from sidecar.cli.pages import paged
from sidecar.cli.servers import connect
from sidecar.cli.times import time_zone_option
from sidecar.shared.api_json import json_of_message
from sidecar.shared.wall_clock import wall_us

LISTED_MAX: Final = 100
_PAGE_MAX: Final = 1_000
_HELP: Final = ("-h", "--help")

_RISK: Final = {
    "release": "what its holder has spent of it and not told yet comes on top of the limit",
    "count": "what its holder has spent of it and not told yet is counted twice once it tells",
}
_SETTLEMENTS: Final = {
    "release": control_pb2.LEASE_SETTLEMENT_RELEASED,
    "count": control_pb2.LEASE_SETTLEMENT_COUNTED,
}


class _ListByDefault(click.Group):
    """A group that lists where no subcommand is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; options alone are those of `list`."""
        if not args or (args[0].startswith("-") and args[0] not in _HELP):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(
    cls=_ListByDefault,
    epilog=examples(
        "tallyd leases",
        "tallyd leases --company acme",
        "tallyd leases recall --company acme --feature tokens",
        "tallyd leases recover",
    ),
)
def command() -> None:
    """Show who may count how much of which limit by itself; recall and settle it.

    A limit that holds exactly over several sidecars is leased to them: what a sidecar has left of
    its lease it may use without asking. Without a subcommand, leases are listed.
    """


def _filter_options(command: F) -> F:
    """Add --company, --feature, --incarnation and --node."""
    for add in (
        click.option("--node", default="", metavar="NAME", help="Only of the sidecars of a node."),
        click.option("--incarnation", default="", metavar="UUID", help="Only of a store."),
        click.option(
            "--feature",
            default="",
            metavar="KEY",
            shell_complete=complete_feature,
            help="Only of a feature.",
        ),
        click.option(
            "--company",
            default="",
            metavar="ID",
            shell_complete=complete_company,
            help="Only of a company.",
        ),
    ):
        command = add(command)
    return command


@command.command("list", epilog=examples("tallyd leases list --company acme --feature tokens"))
@_filter_options
@click.option("--ended", is_flag=True, help="Also of windows that are over, for late usage.")
@click.option(
    "--max",
    "counters_max",
    type=click.IntRange(1, 100_000),
    default=LISTED_MAX,
    show_default=True,
    help="Most counters to show.",
)
@time_zone_option
@control_option
@timeout_option
@json_option
def list_(
    company: str,
    feature: str,
    incarnation: str,
    node: str,
    ended: bool,
    counters_max: int,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """List counters of which anything is leased, and who holds it.

    Of each counter: ceiling = used + leased + left. Leases of silent sidecars may be spent or not;
    nobody else gets them before the window ends.
    """
    request = control_pb2.ListLeasesRequest(
        filter=_filter(company, feature, incarnation, node),
        page_size=min(counters_max, _PAGE_MAX),
        with_ended=ended,
    )
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = paged(
            stub.ListLeases,
            request,
            timeout_s,
            counters_max,
            lambda page: len(page.counters),
            lambda page, more: page.counters.extend(more.counters),
        )
    more = bool(answer.next_page_token) or len(answer.counters) > counters_max
    counters = answer.counters[:counters_max]
    if as_json:
        output.print_json(json_of_leases(counters, more=more))
        return
    print_leases(counters, wall_us(), more=more)


@command.command(
    epilog=examples(
        "tallyd leases recall --company acme",
        "tallyd leases recall --node pod-7",
    )
)
@_filter_options
@control_option
@timeout_option
@json_option
def recall(
    company: str,
    feature: str,
    incarnation: str,
    node: str,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Ask sidecars to give back what they do not need at once. They may ask for it again.

    Silent sidecars cannot be asked; what they hold can be settled.
    """
    if not (company or incarnation or node):
        raise click.UsageError("say whose: --company, --node or --incarnation")
    request = control_pb2.RecallLeasesRequest(filter=_filter(company, feature, incarnation, node))

    def add(
        whole: control_pb2.RecallLeasesResponse, more: control_pb2.RecallLeasesResponse
    ) -> None:
        whole.recalled += more.recalled
        whole.unreached += more.unreached

    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = _all_pages(stub.RecallLeases, request, timeout_s, add)
    if as_json:
        output.print_json({"recalled": answer.recalled, "unreached": answer.unreached})
        return
    output.print_line(f"{output.number(answer.recalled)} leases recalled")
    if answer.unreached:
        unreached = output.number(answer.unreached)
        output.print_text(
            f"{unreached} more are of sidecars that are not connected to this plane: they keep them"
        )


@command.command(
    epilog=examples(
        "tallyd leases settle --company acme --incarnation 0198c1d6-5f1e-4c6e-9a6b-3f1d2c4b5a69 "
        "--release",
    )
)
@click.option("--company", required=True, metavar="ID", shell_complete=complete_company)
@click.option("--incarnation", required=True, metavar="UUID", help="Store that holds them.")
@click.option("--feature", default="", metavar="KEY", shell_complete=complete_feature)
@click.option("--release", "how", flag_value="release", help="Others get what is left of them.")
@click.option("--count", "how", flag_value="count", help="What is left counts as used.")
@click.option("--yes", is_flag=True, help="Do it; without it, it is only told.")
@control_option
@timeout_option
@json_option
def settle(
    company: str,
    incarnation: str,
    feature: str,
    how: str | None,
    yes: bool,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """End leases of a sidecar that is gone for good, without its word.

    With --release others get what is left of them: should the sidecar have spent it, or come back
    and spend it, the limit is passed by that. With --count it counts as used instead, though on no
    bill: should the sidecar come back and tell what it used, that is counted twice.
    """
    if how is None:
        raise click.UsageError("say what becomes of them: --release or --count")
    request = control_pb2.SettleLeasesRequest(
        filter=_filter(company, feature, incarnation, ""),
        settlement=_SETTLEMENTS[how],
        dry_run=not yes,
    )

    def add(
        whole: control_pb2.SettleLeasesResponse, more: control_pb2.SettleLeasesResponse
    ) -> None:
        whole.settled += more.settled
        whole.quantity += more.quantity

    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = _all_pages(stub.SettleLeases, request, timeout_s, add)
    if as_json:
        output.print_json(
            {"settled": answer.settled, "quantity": answer.quantity, "dry_run": not yes}
        )
        return
    leases = f"{output.number(answer.settled)} leases with {output.number(answer.quantity)} left"
    if not answer.settled:
        output.print_line("it holds nothing there")
    elif yes:
        output.print_line(f"{leases}: ended")
    else:
        output.print_text(f"{leases} would be ended: {_RISK[how]}. --yes does it")


@command.command(epilog=examples("tallyd leases recover", "tallyd leases recover --yes"))
@click.option("--yes", is_flag=True, help="Wait no longer for those who are missing.")
@time_zone_option
@control_option
@timeout_option
@json_option
def recover(yes: bool, control_address: str, timeout_s: float, as_json: bool) -> None:
    """Show whom the plane waits for since it lost state; with --yes, wait no longer.

    A plane whose database was restored from a backup leases nothing in windows that had begun until
    every sidecar that it leased something since the backup has told what it holds.
    """
    with connect("control", control_address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        question = control_pb2.GetLeaseRecoveryRequest()
        found = stub.GetLeaseRecovery(question, timeout=timeout_s)
        ended = False
        if yes and found.recovering:
            request = control_pb2.EndLeaseRecoveryRequest(restored_at=found.restored_at)
            ended = stub.EndLeaseRecovery(request, timeout=timeout_s).ended
    if as_json:
        output.print_json({**json_of_message(found), "ended": ended})
        return
    print_recovery(found, ended=ended)


def _filter(company: str, feature: str, incarnation: str, node: str) -> control_pb2.LeaseFilter:
    return control_pb2.LeaseFilter(
        company=company, feature=feature, incarnation=incarnation, node=node
    )


def _all_pages(
    ask: Callable[..., Any], request: Any, timeout_s: float, add: Callable[[Any, Any], None]
) -> Any:
    """Ask for page after page until there are no more; what they say, added up."""
    return paged(ask, request, timeout_s, 1, lambda _: 0, add)
