"""`tallyd entitlements`: what a company may do, as its sidecar knows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import click

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from sidecar.cli import output
from sidecar.cli.common import ExitCode, examples, json_option, sidecar_option, timeout_option
from sidecar.cli.completion import complete_company, complete_feature
from sidecar.cli.describe import basis_text, limit_text, rate_limit_text, reason_name, status_name
from sidecar.cli.kind_words import balance_lines, feature_kind_lines
from sidecar.cli.output import Cell, Painted
from sidecar.cli.servers import connect
from sidecar.cli.times import InstantType, at_facts, time_zone_option
from sidecar.shared.api_json import enum_name
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us

_LIMITED: Final = (
    catalog_pb2.FEATURE_KIND_METERED,
    catalog_pb2.FEATURE_KIND_SEATS,
    catalog_pb2.FEATURE_KIND_LEVEL,
)


@click.command(
    epilog=examples(
        "tallyd entitlements acme",
        "tallyd entitlements acme sso --at 2026-12-31",
    )
)
@click.argument("company", shell_complete=complete_company)
@click.argument("feature", required=False, shell_complete=complete_feature)
@click.option("--at", type=InstantType(), metavar="TIME", help="Instant meant; left out: now.")
@time_zone_option
@sidecar_option
@timeout_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    company: str,
    feature: str | None,
    at: int | None,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Show what COMPANY may do with every feature, or with FEATURE alone.

    TIME may lie in the past or in the future: RFC 3339 with an offset, a date (UTC), or a span from
    now such as +30d. With FEATURE, ends with 1 when the company is not entitled to it.
    """
    instant = None if at is None else timestamp(at)
    answer: pb.GetEntitlementResponse | pb.ListEntitlementsResponse
    with connect("sidecar", sidecar_address) as channel:
        stub = pb_grpc.EnforcementServiceStub(channel)
        if feature is None:
            every = pb.ListEntitlementsRequest(company=company, at=instant)
            answer = stub.ListEntitlements(every, timeout=timeout_s)
            entitlements = list(answer.entitlements)
        else:
            one = pb.GetEntitlementRequest(company=company, feature=feature, at=instant)
            answer = stub.GetEntitlement(one, timeout=timeout_s)
            entitlements = [answer.entitlement]
    if as_json:
        output.print_message(answer)
    else:
        facts: list[tuple[str, Cell]] = [
            ("company", company),
            *([] if at is None else at_facts(at, wall_us())),
            ("plan", answer.plan or "none"),
            ("status", status_name(answer.status)),
            ("basis", basis_text(answer.basis)),
        ]
        output.print_facts(facts)
        output.print_line()
        rows = [row for entitlement in entitlements for row in _rows(entitlement)]
        output.print_table(("feature", "kind", "entitled", "grants"), rows, tight=True)
    negative = feature is not None and not entitlements[0].entitled
    ctx.exit(ExitCode.NEGATIVE if negative else ExitCode.OK)


def _rows(entitlement: pb.Entitlement) -> Iterable[list[Cell]]:
    """Return a row for the feature, and one more for each limit and rate after the first."""
    feature = entitlement.feature
    kind = str(enum_name(catalog_pb2.FeatureKind.DESCRIPTOR, feature.kind)).lower()
    entitled = (
        Painted("yes", "green")
        if entitlement.entitled
        else Painted(f"no: {reason_name(entitlement.reason)}", "red")
    )
    grants = [limit_text(limit, feature.kind) for limit in entitlement.limits]
    if not grants and feature.kind in _LIMITED and entitlement.entitled:
        grants = ["unlimited"]
    grants += [rate_limit_text(rate) for rate in entitlement.rates]
    grants += balance_lines(entitlement)
    grants += feature_kind_lines(feature)
    grants = grants or [entitlement.config_value]
    yield [feature.key, kind, entitled, grants[0]]
    for grant in grants[1:]:
        yield ["", "", "", grant]
