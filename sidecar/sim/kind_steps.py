"""Steps about credits, seats and levels, from the file to what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.errors import FieldError
from sidecar.domain.levels.changes import LevelAction, require_ttl
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.catalog_file.fields import flag_of, integer_of, own_text, text_of
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.yaml_tree import Node
from sidecar.sim.model import GrantCreditsStep, KindStep, LevelStep, SeatStep, VoidCreditsStep
from sidecar.sim.step_fields import StepFields

_Build: TypeAlias = Callable[[StepFields, Path, Node], KindStep]


def _grant(fields: StepFields, path: Path, node: Node) -> KindStep:
    from_us, until_us = fields.later(path, node, "from"), fields.later(path, node, "until")
    from_us = fields.now_us if from_us is None else from_us
    if until_us is not None and until_us <= from_us:
        fields.fields.note((*path, "until"), "must be after from, and after at")
    grant = CreditGrant(
        text_of(node, "id"),
        integer_of(node, "amount", 0),
        integer_of(node, "priority", 0),
        GrantKind.PAID if flag_of(node, "paid") else GrantKind.PROMOTIONAL,
        from_us,
        FOREVER_US if until_us is None else until_us,
    )
    return GrantCreditsStep(fields.feature(path, node), grant)


def _void(fields: StepFields, path: Path, node: Node) -> KindStep:
    return VoidCreditsStep(own_text(node))


def _acquire(fields: StepFields, path: Path, node: Node) -> KindStep:
    return SeatStep(fields.feature(path, node), _name(fields, path, node, "holder"))


def _release(fields: StepFields, path: Path, node: Node) -> KindStep:
    holder = _name(fields, path, node, "holder")
    return SeatStep(fields.feature(path, node), holder, is_release=True)


def _adjust(fields: StepFields, path: Path, node: Node) -> KindStep:
    return _level(fields, path, node, LevelAction.ADJUST, "amount")


def _set(fields: StepFields, path: Path, node: Node) -> KindStep:
    return _level(fields, path, node, LevelAction.SET, "level")


def _level(
    fields: StepFields, path: Path, node: Node, action: LevelAction, amount: str
) -> KindStep:
    item = _name(fields, path, node, "item") if text_of(node, "item") else ""
    ttl_us = fields.fields.duration(path, node, "ttl", None)
    if ttl_us is not None:
        _note(fields, (*path, "ttl"), lambda: require_ttl("ttl", ttl_us, item))
    return LevelStep(
        fields.feature(path, node),
        action,
        integer_of(node, amount, 0),
        item,
        ttl_us,
        fields.dimensions(path, node),
    )


def _name(fields: StepFields, path: Path, node: Node, field: str) -> str:
    text = text_of(node, field)
    _note(fields, (*path, field), lambda: KNOWN_NAMES.require_identifier(field, text))
    return text


def _note(fields: StepFields, path: Path, require: Callable[[], object]) -> None:
    try:
        require()
    except FieldError as error:
        fields.fields.note(path, error.message)


KIND_STEPS: Final[Mapping[str, _Build]] = {
    "grant_credits": _grant,
    "void_credits": _void,
    "acquire_seat": _acquire,
    "release_seat": _release,
    "adjust_level": _adjust,
    "set_level": _set,
}
"""How steps are read, by the names that they have in the file."""
