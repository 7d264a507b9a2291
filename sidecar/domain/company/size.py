"""How large a company may be that is changed: its parts, and their product with what they hold.

Each part has a bound of its own; this is the one on all of them together. So no customer takes the
room and the time of others, whatever it buys. A company that was larger before may stay as large.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sidecar.domain import bounds
from sidecar.domain.company.model import Company
from sidecar.domain.validation import RuleProblem

_encode = msgspec.msgpack.Encoder().encode


def company_size_problems(company: Company, before: Company | None) -> Iterator[RuleProblem]:
    """Yield what is too much of a company. `before`: what is stored of it."""
    for measure, unit, most in (
        (_parts, "overrides and add-ons, now and planned", bounds.COMPANY_PARTS_MAX),
        (_bytes, "bytes, with all limits of its overrides", bounds.COMPANY_BYTES_MAX),
    ):
        size = measure(company)
        if size > most and (before is None or size > measure(before)):
            message = f"company {company.id!r} has {size} {unit}: at most are {most}"
            yield RuleProblem((), message)


def _parts(company: Company) -> int:
    subscription = company.subscription
    parts = len(company.overrides)
    if subscription is not None:
        parts += len(subscription.add_ons) + len(subscription.changes)
        parts += sum(len(change.add_ons or ()) for change in subscription.changes)
    return parts


def _bytes(company: Company) -> int:
    return len(_encode(company))
