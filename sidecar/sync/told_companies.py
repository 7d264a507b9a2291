"""Companies that the plane tells of: those that are wanted are read, each by itself.

Their messages stay bytes until it is known whose they are: on demand, most are nobody's here. One
that cannot be read is no reason to miss the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from google.protobuf.message import DecodeError

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.bounds import COMPANY_NAMES_MAX
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.errors import InvalidInput
from sidecar.domain.slices import Slices, pages
from sidecar.engine.runner import Runner
from sidecar.engine.slicing import in_slices
from sidecar.shared.convert.parsing import first_text, parsed_in_slices, texts
from sidecar.shared.convert.snapshots import snapshot_in_slices

Wanted: TypeAlias = Callable[[Sequence[str], Sequence[str]], Awaitable[Collection[str]]]
"""Which of some companies are wanted here; it is told the other ids of all of them, too."""

_CHOSEN_AT_ONCE: Final = 200
_FIELDS: Final = catalog_pb2.CompanySnapshot.DESCRIPTOR.fields_by_name
_COMPANY_FIELD: Final = _FIELDS["company"].number
_NAMES_FIELD: Final = _FIELDS["names"].number


class ToldCompanies(NamedTuple):
    """Snapshots, what is wrong with those that cannot be read, by company, and their bytes."""

    snapshots: Sequence[CompanySnapshot]
    unreadable: Mapping[str, str]
    bytes: int


async def read_companies(messages: Sequence[bytes], wanted: Wanted | None = None) -> ToldCompanies:
    """Read encoded snapshots of companies, of those that are wanted; `None`: of all."""
    named = await in_slices(_named(messages))
    if wanted is not None and named:
        chosen = await wanted(list(named), await in_slices(_names(named.values())))
        named = {name: message for name, message in named.items() if name in chosen}
    return await in_slices(_read(named))


def _named(messages: Sequence[bytes]) -> Slices[dict[str, bytes]]:
    """The messages by company; one that names none is nobody's, whatever it says."""
    named = {}
    for message in messages:
        name = first_text(message, _COMPANY_FIELD)
        if name:
            named[name] = message
        yield
    return named


def _names(messages: Iterable[bytes]) -> Slices[list[str]]:
    """The other ids of the companies of messages, as many of each as there may be."""
    names: list[str] = []
    for message in messages:
        names += islice(texts(message, _NAMES_FIELD), COMPANY_NAMES_MAX)
        yield
    return names


def _read(named: Mapping[str, bytes]) -> Slices[ToldCompanies]:
    snapshots: list[CompanySnapshot] = []
    unreadable: dict[str, str] = {}
    for name, data in named.items():
        try:
            message = yield from parsed_in_slices(catalog_pb2.CompanySnapshot, data)
            snapshot = yield from snapshot_in_slices(message, "")
        except (DecodeError, InvalidInput) as error:
            unreadable[name] = str(error)
            continue
        if snapshot.company == name:
            snapshots.append(snapshot)
        else:
            unreadable[name] = f"company: is named {snapshot.company!r}, too"
    return ToldCompanies(snapshots, unreadable, sum(map(len, named.values())))


async def chosen(
    runner: Runner, companies: Sequence[str], wanted: Callable[[str], bool]
) -> set[str]:
    """Companies that are wanted, by a question that is answered on the store's thread."""
    found: set[str] = set()
    for some in pages(companies, _CHOSEN_AT_ONCE):
        found |= await runner.run_alone(partial(set, filter(wanted, some)))
        await asyncio.sleep(0)
    return found
