"""Arithmetic of limits and rates: times a quantity, and one on top of another.

Unlimited plus anything is unlimited, and sums stay within their bounds. Nothing is left over of
what is unlimited, so nothing of it rolls over.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.bounds import INT64_MAX, RATE_PRODUCT_MAX
from sidecar.domain.catalog.model import Limit, Rate, RateLimit
from sidecar.domain.time.windows import UNENDING, WindowUnit

_replace = msgspec.structs.replace


def limit_times(limit: Limit, quantity: int) -> Limit:
    """A limit, held so many times; so do the amounts of single values."""
    amounts = tuple((value, _times(amount, quantity)) for value, amount in limit.amounts)
    return _replace(limit, amount=_times(limit.amount, quantity), amounts=amounts)


def limit_plus(limit: Limit, more: Limit) -> Limit:
    """A limit with another one's amounts on top, each value's with what holds for it there."""
    if more.packs:
        limit = limit_plus_pack(limit, more.packs)
    if not limit.amounts and not more.amounts:
        return with_amount(limit, plus(limit.amount, more.amount))
    own, added = dict(limit.amounts), dict(more.amounts)
    amounts = tuple(
        (value, plus(own.get(value, limit.amount), added.get(value, more.amount)))
        for value in sorted({*own, *added})
    )
    return _replace(limit, amount=plus(limit.amount, more.amount), amounts=amounts)


def limit_plus_amount(limit: Limit, amount: int | None) -> Limit:
    """A limit with an amount on top, for every value."""
    if amount is None:
        return with_amount(limit, None)
    amounts = tuple((value, plus(own, amount)) for value, own in limit.amounts)
    return _replace(limit, amount=plus(limit.amount, amount), amounts=amounts)


def limit_plus_pack(limit: Limit, amount: int) -> Limit:
    """A limit with an amount that is given once, for all windows together.

    A window without an end has it as its own.
    """
    if limit.amount is None or limit.window.unit is WindowUnit.REQUEST:
        return limit
    if limit.window.unit in UNENDING:
        return limit_plus_amount(limit, amount)
    return _replace(limit, packs=min(INT64_MAX, limit.packs + amount))


def as_pack(limit: Limit) -> Limit:
    """A limit whose amount is given once, and that has none in each window."""
    return limit_plus_pack(_replace(limit, amount=0), limit.amount or 0)


def with_amount(limit: Limit, amount: int | None) -> Limit:
    """A limit with another amount; amounts of single values stay, unless it is unlimited."""
    if amount is None:
        return _replace(limit, amount=None, amounts=(), rollover=None, packs=0)
    return _replace(limit, amount=amount)


def plus(amount: int | None, more: int | None) -> int | None:
    """The sum of two amounts, `None` for unlimited."""
    return None if amount is None or more is None else min(INT64_MAX, amount + more)


def rate_times(limit: RateLimit, quantity: int) -> RateLimit:
    """A rate, held so many times."""
    return with_speed(limit, limit.rate.count * quantity, limit.rate.burst * quantity)


def rate_plus(limit: RateLimit, count: int, burst: int) -> RateLimit:
    """A rate with count and burst on top."""
    return with_speed(limit, limit.rate.count + count, limit.rate.burst + burst)


def with_speed(limit: RateLimit, count: int, burst: int) -> RateLimit:
    """A rate with another speed, as far as the bound on rates goes."""
    period_us = limit.rate.period_us
    most = RATE_PRODUCT_MAX // period_us
    return _replace(limit, rate=Rate(min(count, most), period_us, min(burst, most)))


def _times(amount: int | None, quantity: int) -> int | None:
    return None if amount is None else min(INT64_MAX, amount * quantity)
