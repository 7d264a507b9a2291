"""Short ways to change and tell levels, at the inside of a sidecar."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import Catalog, Enforcement, Feature, FeatureKind, Limit
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.build import HARD, catalog, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import ANYONE, answer_of

LEVEL: Final = WindowSpec(WindowUnit.LEVEL)


def level_limit(
    name: str = "all", amount: int | None = 100, enforcement: Enforcement = HARD, **fields: Any
) -> Limit:
    """A limit of what is in use now."""
    return limit(name, amount, enforcement, LEVEL, **fields)


def level_catalog(*limits: Limit, ttl_max_us: int | None = None) -> Catalog:
    """A catalog whose plan `basic` has a level, `jobs`; and whose plan `bare` has none."""
    content = catalog({"basic": [metered("jobs", *limits)], "bare": []})
    (feature,) = content.features
    jobs = Feature(feature.key, FeatureKind.LEVEL, ttl_max_us=ttl_max_us)
    return Catalog(features=(jobs,), plans=content.plans)


def lives(ttl_us: int | None) -> Duration | None:
    """A time to live as a message."""
    if ttl_us is None:
        return None
    found = Duration()
    found.FromMicroseconds(ttl_us)
    return found


async def adjust(
    sidecar: Inside, amount: int, item: str = "", ttl_us: int | None = None, **fields: Any
) -> pb.AdjustLevelResponse:
    """More of `jobs` is in use, or less."""
    request = pb.AdjustLevelRequest(
        **{"company": "acme", "feature": "jobs", **fields},
        amount=amount,
        item=item,
        time_to_live=lives(ttl_us),
    )
    handler = sidecar.level_methods.adjust_level
    return pb.AdjustLevelResponse.FromString(await answer_of(handler, request.SerializeToString()))


async def set_to(
    sidecar: Inside, level: int, item: str = "", ttl_us: int | None = None, **fields: Any
) -> pb.SetLevelResponse:
    """So much of `jobs` is in use."""
    request = pb.SetLevelRequest(
        **{"company": "acme", "feature": "jobs", **fields},
        level=level,
        item=item,
        time_to_live=lives(ttl_us),
    )
    handler = sidecar.level_methods.set_level
    return pb.SetLevelResponse.FromString(await answer_of(handler, request.SerializeToString()))


async def told(sidecar: Inside, **fields: Any) -> pb.GetLevelResponse:
    """What is in use of `jobs`."""
    request = pb.GetLevelRequest(**{"company": "acme", "feature": "jobs", **fields})
    data = await sidecar.level_methods.get_level(request.SerializeToString(), ANYONE)
    return pb.GetLevelResponse.FromString(data)


async def used(sidecar: Inside, **fields: Any) -> list[int]:
    """How much is in use, of each limit that applies."""
    return [status.used for status in (await told(sidecar, **fields)).limits]


async def items(sidecar: Inside) -> dict[str, int]:
    """How much is in use of each item."""
    return {item.item: item.level for item in (await told(sidecar)).items}


def expire(sidecar: Inside) -> int:
    """Take back what is over by now; how many items."""
    return len(sidecar.level_methods.levels.expire(sidecar.now_us, 1_000).items)
