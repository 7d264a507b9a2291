"""What the fields of a step say: instants, features, dimensions; problems go into the findings."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.domain.errors import FieldError
from sidecar.domain.limits.requests import require_dimensions
from sidecar.domain.nearest import lacks
from sidecar.shared.catalog_file.fields import Fields, entry_of, own_text, table_of, text_of
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.yaml_tree import Node
from sidecar.sim.catalogs import CatalogInForce
from sidecar.sim.instants import ScenarioClock


class StepFields:
    """Reads fields of steps, by the catalog in force. `now_us`: when the step happens.

    What is wrong goes into the findings of `fields`.
    """

    def __init__(self, fields: Fields, catalog: CatalogInForce, clock: ScenarioClock) -> None:
        self.fields = fields
        self.now_us = clock.starts_us
        self._catalog = catalog
        self._clock = clock

    def instant(self, path: Path, node: Node, name: str) -> int:
        """The instant in a field, seen from the step's own."""
        try:
            return self._clock.instant(text_of(node, name), self.now_us)
        except ValueError as error:
            self.fields.note((*path, name), str(error))
            return self.now_us

    def later(self, path: Path, node: Node, name: str) -> int | None:
        """The same of a field that may be left out."""
        return None if entry_of(node, name) is None else self.instant(path, node, name)

    def feature(self, path: Path, node: Node) -> str:
        """The feature that a step is about."""
        key = text_of(node, "feature")
        self.require_feature((*path, "feature"), key)
        return key

    def require_feature(self, path: Path, key: str, *, at_key: bool = False) -> bool:
        """Whether the catalog has a feature; else a problem is noted."""
        keys = [feature.key for feature in self._catalog.content.features]
        if key not in keys:
            self.fields.note(path, lacks("feature", key, keys), at_key=at_key)
        return key in keys

    def dimensions(self, path: Path, node: Node) -> Mapping[str, str]:
        """The attributes of usage."""
        given = {name: own_text(entry) for name, entry in table_of(node, "dimensions").items()}
        try:
            require_dimensions("dimensions", given)
        except FieldError as error:
            self.fields.note((*path, "dimensions"), error.message)
        return given
