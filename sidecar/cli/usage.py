"""`tallyd usage`: sums of the ledger, usage against limits, lines of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import click

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from sidecar.cli import output, usage_tables
from sidecar.cli.common import control_option, examples, json_option, sidecar_option, timeout_option
from sidecar.cli.completion import complete_company, complete_feature
from sidecar.cli.pages import paged
from sidecar.cli.servers import connect
from sidecar.cli.times import InstantType, LastType, month_of, time_zone, time_zone_option
from sidecar.domain.time.windows import Window
from sidecar.shared.api_json import json_of_message
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us

_GROUPS: Final = {
    "company": control_pb2.USAGE_GROUP_COMPANY,
    "feature": control_pb2.USAGE_GROUP_FEATURE,
    "day": control_pb2.USAGE_GROUP_DAY,
}
_PAGE_RECORDS: Final = 1000


class Question(NamedTuple):
    """What to look for; times are microseconds since the epoch."""

    company: str
    feature: str
    from_us: int | None
    until_us: int | None


class GroupsType(click.ParamType[tuple[str, ...]]):
    """Names apart by commas, each one of `company`, `feature` and `day`."""

    name = "groups"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split it."""
        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        for name in names:
            if name not in _GROUPS:
                self.fail(f"{name!r} is none of {', '.join(_GROUPS)}", param, ctx)
        return names


@click.command(
    epilog=examples(
        "tallyd usage",
        "tallyd usage acme",
        "tallyd usage acme --source sidecar",
        "tallyd usage --last month --by company,day --time-zone Europe/Berlin",
        "tallyd usage acme --last 7d",
        "tallyd usage acme --records --feature tokens --from -24h --json",
    )
)
@click.argument("company", required=False, shell_complete=complete_company)
@click.option(
    "--feature",
    default="",
    metavar="KEY",
    shell_complete=complete_feature,
    help="Only this feature.",
)
@click.option("--from", "from_us", type=InstantType(), metavar="TIME", help="Events from then on.")
@click.option("--until", "until_us", type=InstantType(), metavar="TIME", help="Events before.")
@click.option(
    "--last",
    type=LastType(),
    metavar="SPAN",
    help="Events of the last 7d, say, until now; or of the last day, week, month, quarter or year.",
)
@click.option(
    "--by",
    "groups",
    type=GroupsType(),
    metavar="NAMES",
    help="Sum by company, feature or day (UTC), or several: --by company,day.",
)
@click.option(
    "--at",
    type=InstantType(),
    metavar="TIME",
    help="Limits: the instant whose windows are meant; of a sidecar's within the last 35 days.",
)
@click.option(
    "--source",
    type=click.Choice(["control", "sidecar"]),
    default="control",
    show_default=True,
    help="Limits: whose counters to show.",
)
@click.option("--records", is_flag=True, help="Show the ledger's lines, oldest event first.")
@click.option(
    "--max",
    "rows_max",
    type=click.IntRange(1, 1_000_000),
    default=1000,
    show_default=True,
    help="Most sums (to 10000) or lines to show; of limits at least 10000.",
)
@time_zone_option
@control_option
@sidecar_option
@timeout_option
@json_option
def command(
    company: str | None,
    feature: str,
    from_us: int | None,
    until_us: int | None,
    last: Window | None,
    groups: tuple[str, ...] | None,
    at: int | None,
    source: str,
    records: bool,
    rows_max: int,
    control_address: str,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Show what was used.

    With COMPANY alone: its usage against its limits, now or --at an instant; of features that have
    none, or on whose limits nothing was counted, what was used in that month. Without COMPANY, or
    with --from, --until, --last or --by: sums of the ledger. With --records: the ledger's lines.

    TIME is RFC 3339 with an offset, a date, yesterday, or a span from now such as -24h. Dates and
    months are UTC and times are shown as of this machine, but for --time-zone.
    """
    if last is not None:
        if from_us is not None or until_us is not None:
            raise click.UsageError("--last is instead of --from and --until")
        from_us, until_us = last.start_us, last.end_us
    question = Question(company or "", feature, from_us, until_us)
    ranged = from_us is not None or until_us is not None
    sums = not records and (company is None or ranged or groups is not None)
    _refuse_mixtures(question, records, groups is not None, at is not None, source, sums)
    if source == "sidecar":
        _sidecar_limits(question, at, rows_max, sidecar_address, timeout_s, as_json)
    elif records:
        _records(question, rows_max, control_address, timeout_s, as_json)
    elif sums:
        by = ("company",) if groups is None and company is None else groups or ()
        _sums(question, by, rows_max, control_address, timeout_s, as_json)
    else:
        _limits(question, at, rows_max, control_address, timeout_s, as_json)


def _refuse_mixtures(
    question: Question, records: bool, grouped: bool, at: bool, source: str, sums: bool
) -> None:
    if records and not question.company:
        raise click.UsageError("--records needs COMPANY")
    if records and grouped:
        raise click.UsageError("--by sums, --records does not; choose one of them")
    if at and (records or sums):
        raise click.UsageError("--at is for a company's limits; --from and --until bound a sum")
    if source == "sidecar" and (records or sums):
        raise click.UsageError("--source sidecar needs COMPANY; sums and lines are of the ledger")


def _limits(
    question: Question,
    at_us: int | None,
    rows_max: int,
    address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Company-wide limits come first; more of users are read as long as more are asked for."""
    request = control_pb2.GetCompanyUsageRequest(
        company=question.company,
        feature=question.feature,
        at=None if at_us is None else timestamp(at_us),
    )
    meant_us = wall_us() if at_us is None else at_us
    month = month_of(meant_us, time_zone())
    with connect("control", address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = paged(
            stub.GetCompanyUsage,
            request,
            timeout_s,
            rows_max,
            lambda page: len(page.limits),
            _join_limits,
        )
        # Where limits are left out, nobody could tell which features have none.
        sums: Sequence[control_pb2.UsageSum] = ()
        if not answer.truncated:
            asked = question._replace(from_us=month.start_us, until_us=month.end_us)
            sums = stub.QueryUsage(_sums_request(asked), timeout=timeout_s).sums
    listed = {usage.feature for usage in answer.limits}
    rest = [usage for usage in sums if usage.feature not in listed]
    unlimited = set(answer.unlimited_features)
    if as_json:
        told = [json_of_message(usage) for usage in rest if usage.feature in unlimited]
        others = [json_of_message(usage) for usage in rest if usage.feature not in unlimited]
        both = {"without_limits": told, "without_counters": others}
        output.print_json({**json_of_message(answer), **both})
    else:
        usage_tables.print_company_usage(question.company, answer, rest, month, meant_us)


def _sidecar_limits(
    question: Question,
    at_us: int | None,
    rows_max: int,
    address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    request = pb.GetUsageRequest(
        company=question.company,
        feature=question.feature,
        at=None if at_us is None else timestamp(at_us),
    )
    with connect("sidecar", address) as channel:
        stub = pb_grpc.EnforcementServiceStub(channel)
        answer = paged(stub.GetUsage, request, timeout_s, rows_max, _limits_in, _join)
    if as_json:
        output.print_message(answer)
    else:
        usage_tables.print_sidecar_usage(answer)


def _limits_in(answer: pb.GetUsageResponse) -> int:
    return sum(len(usage.limits) for usage in answer.features)


def _join(answer: pb.GetUsageResponse, more: pb.GetUsageResponse) -> None:
    """Add a page to those before it: its limits to what is there of their features."""
    known = {usage.feature: usage for usage in answer.features}
    for usage in more.features:
        if usage.feature in known:
            known[usage.feature].limits.extend(usage.limits)
        else:
            answer.features.append(usage)
    answer.truncated = more.truncated


def _join_limits(
    answer: control_pb2.GetCompanyUsageResponse, more: control_pb2.GetCompanyUsageResponse
) -> None:
    answer.limits.extend(more.limits)
    answer.truncated = more.truncated


def _sums(
    question: Question,
    groups: tuple[str, ...],
    rows_max: int,
    address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    request = _sums_request(question)
    request.group_by.extend(_GROUPS[name] for name in groups)
    request.max_sums = min(rows_max, 10_000)
    with connect("control", address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.QueryUsage(request, timeout=timeout_s)
    if as_json:
        output.print_message(answer)
    else:
        usage_tables.print_sums(answer, groups, question.from_us, question.until_us)


def _sums_request(question: Question) -> control_pb2.QueryUsageRequest:
    request = control_pb2.QueryUsageRequest(company=question.company, feature=question.feature)
    _set_range(request, question)
    return request


def _records(
    question: Question, rows_max: int, address: str, timeout_s: float, as_json: bool
) -> None:
    request = control_pb2.ListRecordsRequest(
        company=question.company,
        feature=question.feature,
        page_size=min(_PAGE_RECORDS, rows_max),
    )
    _set_range(request, question)
    with connect("control", address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = paged(
            stub.ListRecords,
            request,
            timeout_s,
            rows_max,
            lambda page: len(page.records),
            lambda page, more: page.records.extend(more.records),
        )
    lines = answer.records[:rows_max]
    truncated = bool(answer.next_page_token) or len(answer.records) > rows_max
    if as_json:
        records = [json_of_message(line) for line in lines]
        output.print_json({"records": records, "truncated": truncated})
    else:
        usage_tables.print_records(lines, truncated)


def _set_range(
    request: control_pb2.QueryUsageRequest | control_pb2.ListRecordsRequest, question: Question
) -> None:
    if question.from_us is not None:
        # A keyword in Python, hence no attribute that could be written out.
        getattr(request, "from").CopyFrom(timestamp(question.from_us))
    if question.until_us is not None:
        request.until.CopyFrom(timestamp(question.until_us))
