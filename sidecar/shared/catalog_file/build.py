"""From a tree of the right shape to domain values, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    Dimension,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Merge,
)
from sidecar.domain.company.model import Company, Override
from sidecar.domain.time.zones import is_zone
from sidecar.shared.catalog_file.changes import GrantSource
from sidecar.shared.catalog_file.fields import (
    Fields,
    entry_of,
    flag_of,
    integer_of,
    items_of,
    own_text,
    table_of,
    text_of,
)
from sidecar.shared.catalog_file.grants import GrantBuilder
from sidecar.shared.catalog_file.kinds import KindBuilder
from sidecar.shared.catalog_file.plans import PlanBuilder
from sidecar.shared.catalog_file.problems import Finding, Path
from sidecar.shared.catalog_file.subscriptions import SubscriptionBuilder
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Table


def cut_out(root: Table, findings: Iterable[Finding]) -> None:
    """Remove the fields that findings are about from the tree; lists go as a whole.

    Of features, their dimensions, plans, add-ons and companies the key stays, since others may
    refer to it.
    """
    for finding in findings:
        path = tuple(takewhile(lambda step: isinstance(step, str), finding.path))
        node: Node | None = root
        for step in path[:-1]:
            node = entry_of(node, str(step)) if node is not None else None
        if isinstance(node, Table) and path[-1] in node.entries:
            name = str(path[-1])
            if len(path) == 2 or (len(path) == 4 and path[2] == "dimensions"):
                node.entries[name] = Table(node.entries[name].at)
            else:
                del node.entries[name]


class Builder:
    """Builds the values of one file. `findings` grows with what is wrong with their meaning.

    `sold`: the catalog where the file has none of its own.
    """

    def __init__(self, root: Table, sold: Catalog | None = None) -> None:
        self._root = root
        self._kinds = {key: _kind(node) for key, node in table_of(root, "features").items()}
        if sold is not None:
            self._kinds = {feature.key: feature.kind for feature in sold.features}
        self._fields = Fields()
        self._of_kind = KindBuilder(self._fields)
        self._grants = GrantBuilder(self._fields, self._kinds, self._of_kind)
        self._plans = PlanBuilder(self._fields, self._grants, table_of(root, "plans"))
        self._subscriptions = SubscriptionBuilder(self._fields)

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the meaning of what was built so far."""
        return self._fields.findings

    def written_at(self, finding: Finding) -> Finding:
        """The finding at the place where the file says it, which a plan may have taken over."""
        return finding._replace(path=self._plans.written_at(finding.path))

    def catalog(self) -> Catalog:
        """Build features, plans and add-ons."""
        root = self._root
        features = [
            self._feature(key, kind, node)
            for key, node in table_of(root, "features").items()
            if (kind := self._kinds[key]) is not None
        ]
        plans = self._plans.plans()
        add_ons = [self._add_on(key, node) for key, node in table_of(root, "add_ons").items()]
        return Catalog(tuple(features), plans, tuple(add_ons), text_of(root, "default_plan"))

    def companies(self) -> list[Company]:
        """Build the companies."""
        table = table_of(self._root, "companies")
        return [self._company(key, node) for key, node in table.items()]

    def _feature(self, key: str, kind: FeatureKind, node: Node) -> Feature:
        path = ("features", key)
        return Feature(
            key,
            kind,
            text_of(node, "name"),
            text_of(node, "unit"),
            self._fail_policy((*path, "fail"), entry_of(node, "fail")),
            _dimensions(entry_of(node, "dimensions")),
            tuple(
                cost
                for cost in self._of_kind.costs(path, node)
                if self._kinds.get(cost.credits, kind) is not None  # else it has been told
            ),
            self._fields.duration(path, node, "ttl_max", None),
            self._of_kind.billing(path, node),
        )

    def _fail_policy(self, path: Path, node: Node | None) -> FailPolicy:
        if node is None:
            return FailPolicy()
        return FailPolicy(
            no_snapshot=FailAction[text_of(node, "no_snapshot", "deny").upper()],
            stale=FailAction[text_of(node, "stale", "keep").upper()],
            stale_after_us=self._fields.duration(path, node, "stale_after", None),
            outbox_full=FailAction[text_of(node, "outbox_full", "deny").upper()],
            no_lease=FailAction[text_of(node, "no_lease", "deny").upper()],
        )

    def _add_on(self, key: str, node: Node) -> AddOn:
        entitlements = [
            AddOnEntitlement(grant, Merge[text_of(entry, "merge", "increment").upper()])
            for grant, _, entry in self._grants.grants(
                ("add_ons", key), node, "entitlements", GrantSource.ADD_ON
            )
        ]
        return AddOn(
            key,
            text_of(node, "name"),
            integer_of(node, "rank", 0),
            tuple(entitlements),
            tuple(map(own_text, items_of(node, "plans") or ())),
            flag_of(node, "once"),
        )

    def _company(self, key: str, node: Node) -> Company:
        path = ("companies", key)
        time_zone = text_of(node, "time_zone", "UTC")
        self._fields.time_zone = time_zone if is_zone(time_zone) else "UTC"
        overrides = [
            Override(
                grant,
                self._fields.instant(at, entry, "expires_at", FOREVER_US),
                text_of(entry, "reason"),
            )
            for grant, at, entry in self._grants.grants(
                path, node, "overrides", GrantSource.OVERRIDE
            )
        ]
        return Company(
            id=key,
            name=text_of(node, "name"),
            time_zone=time_zone,
            subscription=self._subscriptions.subscription(path, node),
            overrides=tuple(overrides),
            renamed_from=text_of(node, "renamed_from"),
        )


def _dimensions(node: Node | None) -> tuple[Dimension, ...] | None:
    """Declared dimensions: `required`, `optional`, a list of values, or both in a mapping."""
    if not isinstance(node, Table):
        return None
    return tuple(_dimension(name, entry) for name, entry in node.entries.items())


def _dimension(name: str, node: Node) -> Dimension:
    if isinstance(node, Table):
        values = items_of(node, "values") or ()
        return Dimension(name, flag_of(node, "required"), tuple(map(own_text, values)))
    if isinstance(node, Listing):
        return Dimension(name, values=tuple(map(own_text, node.items)))
    return Dimension(name, own_text(node) == "required")


def _kind(node: Node) -> FeatureKind | None:
    kind = text_of(node, "kind")
    return FeatureKind[kind.upper()] if kind else None
