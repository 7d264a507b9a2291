"""Values for a shell that completes what is typed: names that the control plane knows.

A shell waits for them, so there are few, they come soon, and what goes wrong is silent.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal

import click

from sidecar.cli.common import DEFAULT_CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable

    Complete = Callable[[click.Context, click.Parameter, str], list[str]]

NAMES_MAX: Final = 100
_ANSWER_SECONDS_MAX: Final = 1.0


def names_of(kind: Literal["COMPANY", "FEATURE", "PLAN", "ADD_ON"]) -> Complete:
    """Return what completes an argument or option that names one of these."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            return _names(_address(ctx), kind, incomplete)
        except Exception:
            return []

    return complete


def _address(ctx: click.Context) -> str:
    given = ctx.params.get("control_address")
    return str(given or os.environ.get("TALLYD_CONTROL") or DEFAULT_CONTROL)


def _names(address: str, kind: str, beginning: str) -> list[str]:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its lines would stand in what is typed
    # Here, since a command that is run has its own way to a server.
    from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
    from sidecar.cli.servers import connect

    request = control_pb2.ListNamesRequest(
        kind=control_pb2.NameKind.Value(f"NAME_KIND_{kind}"),
        beginning=beginning,
        page_size=NAMES_MAX,
    )
    with connect("control", address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        return list(stub.ListNames(request, timeout=_ANSWER_SECONDS_MAX).names)


complete_company: Final = names_of("COMPANY")
complete_feature: Final = names_of("FEATURE")
complete_plan: Final = names_of("PLAN")
complete_add_on: Final = names_of("ADD_ON")
