"""Shares of rates as sidecar and control plane speak of them."""

from __future__ import annotations

from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.rate_shares import RateDemand, RateName, RateShare
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.counters import require_slot_and_values

# A slot of a THROTTLE limit's rate holds its name and the slot of its counters; see `counters`.
_SLOT_BYTES_MAX: Final = 36_864


def rate_name_to_message(name: RateName) -> sync_pb2.RateAddress:
    """Turn a rate's name into a message."""
    return sync_pb2.RateAddress(
        company=name.company, feature=name.feature, slot=name.slot, values=name.values
    )


def rate_name_from_message(message: sync_pb2.RateAddress, field: str) -> RateName:
    """Read a rate's name; `InvalidInput` for one that there cannot be."""
    require_slot_and_values(message, field, _SLOT_BYTES_MAX)
    return RateName(
        KNOWN_NAMES.require_identifier(f"{field}.company", message.company),
        KNOWN_NAMES.require_identifier(f"{field}.feature", message.feature),
        message.slot,
        tuple(message.values),
    )


def rate_demand_to_message(demand: RateDemand) -> sync_pb2.RateDemand:
    """Turn a demand into a message."""
    return sync_pb2.RateDemand(
        rate=rate_name_to_message(demand.rate),
        demand=demand.demand,
        share_ppm=demand.share_ppm,
        fill_ppm=demand.fill_ppm,
        drain_us=demand.drain_us,
    )


def rate_demand_from_message(message: sync_pb2.RateDemand, field: str) -> RateDemand:
    """Read a demand; `InvalidInput` for what no sidecar says."""
    if message.demand < 0:
        raise InvalidInput(f"{field}.demand", "must not be negative")
    if message.drain_us < 1:
        raise InvalidInput(f"{field}.drain_us", "must be at least 1")
    return RateDemand(
        rate_name_from_message(message.rate, f"{field}.rate"),
        message.demand,
        _share(message.share_ppm, f"{field}.share_ppm") if message.HasField("share_ppm") else None,
        _share(message.fill_ppm, f"{field}.fill_ppm"),
        message.drain_us,
    )


def rate_share_to_message(share: RateShare) -> sync_pb2.RateShare:
    """Turn a share into a message."""
    return sync_pb2.RateShare(share_ppm=share.share_ppm, fill_ppm=share.fill_ppm)


def rate_share_from_message(message: sync_pb2.RateShare, field: str) -> RateShare:
    """Read a share; `InvalidInput` for one that there cannot be."""
    return RateShare(
        _share(message.share_ppm, f"{field}.share_ppm") if message.HasField("share_ppm") else None,
        _share(message.fill_ppm, f"{field}.fill_ppm"),
    )


def _share(share_ppm: int, field: str) -> int:
    if not 0 <= share_ppm <= WHOLE_PPM:
        raise InvalidInput(field, f"must be 0 to {WHOLE_PPM}, is {share_ppm}")
    return share_ppm
