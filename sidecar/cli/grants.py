"""`tallyd grants`: shows what a company has of its own, beside what it bought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import click

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import examples
from sidecar.cli.grant_values import change_text
from sidecar.cli.output import NOTHING, Cell, Painted
from sidecar.cli.servers import connect
from sidecar.cli.subscription_calls import Call, call_options, company_argument
from sidecar.cli.times import local_time, until
from sidecar.domain.entitlement.override_targets import untargeted_problems
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.shared.api_json import instant_of, json_of_message
from sidecar.shared.convert.catalog import catalog_from_message
from sidecar.shared.convert.companies import company_from_message
from sidecar.shared.wall_clock import wall_us

_TITLES: Final = ("id", "feature", "change", "since", "until", "in force", "reason")


@click.command(epilog=examples("tallyd grants acme"))
@company_argument
@call_options
def command(call: Call) -> None:
    """Show what COMPANY was granted of its own: by calls, with their ids, and by a file."""
    with connect("control", call.address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        request = control_pb2.GetCompanyRequest(company=call.company, accepts_spans=True)
        company = stub.GetCompany(request, timeout=call.timeout_s).company
        overrides, sold = company.overrides, catalog_pb2.Catalog()
        if overrides:
            answer = stub.GetCatalog(control_pb2.GetCatalogRequest(), timeout=call.timeout_s)
            sold = answer.catalog.catalog
    now_us = wall_us()
    lacking = _lacking(company, sold, now_us) if overrides else []
    if call.as_json:
        told = [
            {
                **json_of_message(override),
                "in_force": not _is_over(override, now_us),
                "lacking": lacks,
            }
            for override, lacks in zip(overrides, lacking, strict=True)
        ]
        output.print_json({"overrides": told})
    elif overrides:
        output.print_table(_TITLES, _rows(overrides, lacking, now_us), tight=True)
        for override, lacks in zip(overrides, lacking, strict=True):
            name = override.entitlement.id or override.entitlement.feature
            for message in lacks:
                output.print_text(f"{name}: {_effect(override, lacks)}: {message}")
    else:
        output.print_line(f"{output.printable(call.company)} was granted nothing of its own")


def _lacking(
    company: catalog_pb2.Company, sold: catalog_pb2.Catalog, now_us: int
) -> list[list[str]]:
    """What each override changes that the company is not granted now."""
    index = CatalogIndex(catalog_from_message(sold, "catalog"), 1)
    held = company_from_message(company, "company")
    return [
        []
        if _is_over(override, now_us)
        else [message for _, message in untargeted_problems(held, at, index, now_us)]
        for at, override in enumerate(company.overrides)
    ]


def _effect(override: catalog_pb2.Override, lacks: Sequence[str]) -> str:
    entitlement = override.entitlement
    changes = len(entitlement.limit_changes) + len(entitlement.rate_changes)
    changes += entitlement.HasField("overdraft_change")
    return "no effect" if len(lacks) == changes else "in part"


def _state(override: catalog_pb2.Override, lacks: Sequence[str], now_us: int) -> Cell:
    if _is_over(override, now_us):
        return Painted("over", "bright_black")
    return Painted(_effect(override, lacks), "yellow") if lacks else Painted("yes", "green")


def _rows(
    overrides: Iterable[catalog_pb2.Override], lacking: Iterable[Sequence[str]], now_us: int
) -> Iterable[list[Cell]]:
    for override, lacks in zip(overrides, lacking, strict=True):
        entitlement = override.entitlement
        granted = override.HasField("granted_at")
        ends = override.HasField("expires_at")
        yield [
            entitlement.id or NOTHING,
            entitlement.feature,
            change_text(entitlement),
            local_time(instant_of(override.granted_at)) if granted else "by file",
            until(instant_of(override.expires_at), now_us)
            if ends
            else "it is revoked"
            if granted
            else NOTHING,
            _state(override, lacks, now_us),
            override.reason or NOTHING,
        ]


def _is_over(override: catalog_pb2.Override, now_us: int) -> bool:
    return override.HasField("expires_at") and instant_of(override.expires_at) <= now_us
