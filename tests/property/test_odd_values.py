"""What a plane says of catalog, companies and totals, with odd values anywhere in it.

It is refused with the field named, or it is taken, and then every question about it is answered.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final, TypeVar

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.slices import whole
from sidecar.shared.convert.catalog import (
    catalog_snapshot_in_slices,
    catalog_snapshot_to_message,
)
from sidecar.shared.convert.counters import total_from_message, total_to_message
from sidecar.shared.convert.snapshot_messages import segmented_to_message
from sidecar.shared.convert.snapshots import snapshot_from_message
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import NOW_US, catalog_snapshot, counter_ref, total
from tests.support.inside import Inside
from tests.support.seeds import rounds, seeded
from tests.unit.shared.convert.samples import FULL_CATALOG, FULL_COMPANY

M = TypeVar("M", bound=Message)

ROUNDS: Final = rounds(60, 1, slow=1_000, seeds=(2, 3, 4))
_INT64: Final = 2**63
_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT64: (0, 1, -1, _INT64 - 1, -_INT64, 2**62, 10**12),
    FieldDescriptor.CPPTYPE_INT32: (0, 1, -1, 2**31 - 1, -(2**31), 1_000),
    FieldDescriptor.CPPTYPE_UINT64: (0, 1, 2**64 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 1, 2**32 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 1, 2, 3, 4, 5, 99, -1),
    FieldDescriptor.CPPTYPE_BOOL: (False, True),
}
_TEXTS: Final = ("", " ", "a\0b", "a\n", "\u2028", "x" * 129, "x" * 5_000, "calls", "UTC", "\u0378")


def fields(message: Message) -> Iterator[tuple[Message, Any]]:
    """Every field there is in a message, and every one that there could be in what it has."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        value: Any = getattr(message, field.name)
        if field.is_repeated:
            for each in value:
                yield from fields(each)
        elif message.HasField(field.name):
            yield from fields(value)


def spoil(chance: random.Random, message: M) -> M:
    """The message with some odd values."""
    odd = type(message)()
    odd.CopyFrom(message)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        holder, field = chance.choice(list(fields(odd)))
        value: Any = getattr(holder, field.name)
        if field.is_repeated:
            if field.message_type is None:
                value.append(_value(chance, field))
            elif len(value) and not field.message_type.GetOptions().map_entry:
                if chance.random() < 0.5:
                    value.append(value[0])
                else:
                    value.pop()
        elif field.message_type is not None or chance.random() < 0.2:
            holder.ClearField(field.name)
        else:
            setattr(holder, field.name, _value(chance, field))
    return odd


def _value(chance: random.Random, field: Any) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return chance.choice(_TEXTS)
    return chance.choice(_INTEGERS[field.cpp_type])


def named(error: FieldError, *starts: str) -> None:
    """The error names a field of what was said or asked."""
    assert error.field.startswith(starts), error


def ask_everything(sidecar: Inside, catalog: CatalogSnapshot, company: str) -> None:
    """Every question about a company; only what is wrong with a request may be an error."""
    for feature in catalog.catalog.features:
        for mode in GrantMode:
            for dimensions in ({}, {"model": "large", "user": "ann"}):
                try:
                    sidecar.decide(
                        3, feature.key, company, mode=mode, dimensions=dimensions
                    ).SerializeToString()
                except FieldError as error:
                    named(error, "quantity", "company", "feature")
    list(whole(sidecar.queries.usage(company, "", NOW_US, NOW_US)).features)
    list(sidecar.queries.entitlements(company, "", NOW_US, NOW_US).entitlements())


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_a_catalog_is_refused_by_its_field_or_decides(count: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(count):
        _catalog(chance)


def _catalog(chance: random.Random) -> None:
    message = spoil(chance, catalog_snapshot_to_message(catalog_snapshot(FULL_CATALOG, 3)))
    try:
        taken = whole(catalog_snapshot_in_slices(message, "catalog"))
    except InvalidInput as error:
        named(error, "catalog")
        return
    sidecar = Inside(FULL_CATALOG, FULL_COMPANY)
    sidecar.directory.apply(SnapshotChanges(taken))
    ask_everything(sidecar, taken, FULL_COMPANY.id)


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_a_timeline_is_refused_by_its_field_or_decides(count: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(count):
        _timeline(chance)


def _timeline(chance: random.Random) -> None:
    message = spoil(chance, segmented_to_message(compile_snapshot(FULL_COMPANY, 3), 1 << 20))
    try:
        taken = snapshot_from_message(message, "companies[0]")
    except InvalidInput as error:
        named(error, "companies[0]")
        return
    sidecar = Inside(FULL_CATALOG)
    sidecar.directory.apply(SnapshotChanges(None, [taken]))
    ask_everything(sidecar, catalog_snapshot(FULL_CATALOG, 1), taken.company)


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_a_total_is_refused_by_its_field_or_counts(count: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(count):
        _total(chance)


def _total(chance: random.Random) -> None:
    of = FULL_CATALOG.plans[1].entitlements[1].limits[0]
    message = spoil(chance, total_to_message(total(counter_ref(of), 7, 3, 5)))
    message.carrying = True
    message.carried.extend(chance.choices((0, 1, _INT64 - 1), k=3))
    try:
        taken = total_from_message(message, "totals[0]")
    except InvalidInput as error:
        named(error, "totals[0]")
        return
    sidecar = Inside(FULL_CATALOG, FULL_COMPANY)
    sidecar.opened.counters.hear("life-1", [taken])
    ask_everything(sidecar, catalog_snapshot(FULL_CATALOG, 1), FULL_COMPANY.id)


def test_the_samples_are_taken_as_they_are() -> None:
    sidecar = Inside(FULL_CATALOG, FULL_COMPANY)
    ask_everything(sidecar, catalog_snapshot(FULL_CATALOG, 1), FULL_COMPANY.id)
