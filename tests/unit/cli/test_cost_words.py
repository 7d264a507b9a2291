"""What usage costs and burns, as people read it."""

from __future__ import annotations

from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.cost_words import burned_facts, price_facts
from sidecar.cli.output import Painted

PARTS: Final = [
    pb.CreditPart(source="monthly", amount=1_000),
    pb.CreditPart(source="gift", amount=5),
]


def test_what_was_burned_is_told_by_source() -> None:
    burned = pb.CreditsBurned(
        feature="credits", needed=1_005, amount=1_005, parts=PARTS, left=2_000
    )
    told = dict(burned_facts(pb.Decision(allowed=True, burned=[burned])))
    text = "1005 of credits: 1000 from monthly, 5 from gift; 2000 left"
    assert {"burns": text} == told


def test_what_the_plane_is_to_burn_is_told_too() -> None:
    burned = pb.CreditsBurned(feature="credits", needed=8)
    told = dict(burned_facts(pb.Decision(allowed=True, burned=[burned])))
    assert {"burns": "8 of credits; 8 is for the control plane to burn"} == told


def test_a_denial_tells_what_there_is() -> None:
    burned = pb.CreditsBurned(feature="credits", needed=8, left=3)
    told = dict(burned_facts(pb.Decision(burned=[burned])))
    assert {"needs": Painted("8 of credits; 3 left", "yellow")} == told


def test_the_price_is_that_of_the_dimensions() -> None:
    cost = catalog_pb2.FeatureCost(
        credits="credits",
        by="model",
        otherwise=catalog_pb2.Price(micro_credits=1),
        prices=[
            catalog_pb2.ValuePrice(
                value="large", price=catalog_pb2.Price(micro_credits=10, per=1_000)
            )
        ],
    )
    feature = catalog_pb2.Feature(key="tokens", unit="tokens", costs=[cost])
    large = dict(price_facts(feature, {"model": "large"}))
    assert {"price": "10 of credits for 1000 tokens (model large)"} == large
    assert {"price": "1 of credits for 1 tokens"} == dict(price_facts(feature, {}))
