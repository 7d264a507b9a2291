"""What `tallyd grant` means by a value: by the feature's kind, and the limits that it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli.common import CliError, ExitCode
from sidecar.cli.describe import grant_lines, limit_change_text, rate_change_text
from sidecar.cli.kind_words import overdraft_change_text
from sidecar.cli.subscription_calls import Call
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.nearest import lacks
from sidecar.shared.convert.catalog import catalog_from_message
from sidecar.shared.convert.snapshots import snapshot_from_message
from sidecar.shared.wall_clock import wall_us

_UNLIMITED: Final = "unlimited"
_AMOUNT: Final = re.compile(r"(\+?)([0-9]+|[0-9]{1,3}(?:[_,][0-9]{3})+)")
_SWITCH: Final = {
    **dict.fromkeys(("on", "true", "yes"), True),
    **dict.fromkeys(("off", "false", "no"), False),
}


class Meant(NamedTuple):
    """What of a feature a value is meant for; left out: the only limit."""

    limit: str | None = None
    rate: str | None = None
    overdraft: bool = False


def entitlement_of(
    stub: control_pb2_grpc.ControlServiceStub,
    call: Call,
    feature: str,
    value: str,
    meant: Meant,
) -> catalog_pb2.EntitlementGrant:
    """What is granted by a value of a feature. Raises `CliError` for what cannot be meant."""
    answer = stub.GetCatalog(control_pb2.GetCatalogRequest(), timeout=call.timeout_s)
    kinds = {each.key: each.kind for each in answer.catalog.catalog.features}
    if feature not in kinds:
        raise _mistake("feature", lacks("feature", feature, kinds))
    if kinds[feature] == catalog_pb2.FEATURE_KIND_BOOLEAN:
        if value.lower() not in _SWITCH:
            raise _mistake("value", f"{feature} is on or off, not {value!r}")
        return catalog_pb2.EntitlementGrant(feature=feature, enabled=_SWITCH[value.lower()])
    if kinds[feature] == catalog_pb2.FEATURE_KIND_CONFIG:
        return catalog_pb2.EntitlementGrant(feature=feature, config_value=value)
    adds, amount = _amount(value)
    grant = catalog_pb2.EntitlementGrant(feature=feature)
    if meant.rate is not None or meant.overdraft:
        if amount is None:
            what = "a rate" if meant.rate is not None else "an overdraft"
            raise _mistake("value", f"{what} is changed by a number, such as +10")
        if meant.rate is not None:
            grant.rate_changes.add(rate=meant.rate, count=amount, adds=adds)
        else:
            grant.overdraft_change.amount, grant.overdraft_change.adds = amount, adds
    else:
        name = meant.limit or _only_limit(stub, call, answer, feature)
        grant.limit_changes.add(limit=name, amount=amount, adds=adds)
    return grant


def change_text(entitlement: catalog_pb2.EntitlementGrant) -> str:
    """Write what an override changes, or what it grants in place of all else."""
    changes = [*map(limit_change_text, entitlement.limit_changes)]
    changes += map(rate_change_text, entitlement.rate_changes)
    if entitlement.HasField("overdraft_change"):
        changes.append(overdraft_change_text(entitlement.overdraft_change))
    if changes:
        return "; ".join(changes)
    return "; ".join(grant_lines(entitlement, _kind_of(entitlement)))


def _amount(value: str) -> tuple[bool, int | None]:
    if value.lower() == _UNLIMITED:
        return False, None
    found = _AMOUNT.fullmatch(value)
    amount = int(re.sub("[_,]", "", found[2])) if found else INT64_MAX + 1
    if found is None or amount > INT64_MAX:
        raise _mistake("value", f"{value!r} is no amount such as +100, 5000 or unlimited")
    return bool(found[1]), amount


def _only_limit(
    stub: control_pb2_grpc.ControlServiceStub,
    call: Call,
    answer: control_pb2.GetCatalogResponse,
    feature: str,
) -> str:
    """The one limit that a company has of a feature now."""
    request = control_pb2.GetCompanyRequest(company=call.company, accepts_spans=True)
    company = stub.GetCompany(request, timeout=call.timeout_s)
    segment = segment_at(snapshot_from_message(company.snapshot, "snapshot"), wall_us())
    catalog = catalog_from_message(answer.catalog.catalog, "catalog")
    entitlement = CatalogIndex(catalog, 1).resolve(segment, feature)
    names = [] if entitlement is None else [each.id for each in entitlement.limits]
    if len(names) == 1:
        return names[0]
    raise _mistake("limit", _which(call.company, feature, names))


def _which(company: str, feature: str, names: Sequence[str]) -> str:
    if not names:
        return f"{company} has no limit of {feature} that could be changed"
    return f"{feature} has several limits, name one by --limit: {', '.join(names)}"


def _mistake(field: str, message: str) -> CliError:
    return CliError(message, exit_code=ExitCode.USAGE, reason="INVALID_ARGUMENT", field=field)


def _kind_of(entitlement: catalog_pb2.EntitlementGrant) -> catalog_pb2.FeatureKind.ValueType:
    """The kind of feature that an entitlement is of, as far as it shows."""
    if entitlement.config_value:
        return catalog_pb2.FEATURE_KIND_CONFIG
    if entitlement.limits or entitlement.rates:
        return catalog_pb2.FEATURE_KIND_METERED
    return catalog_pb2.FEATURE_KIND_BOOLEAN
