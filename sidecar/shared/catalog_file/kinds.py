"""What features of one kind alone have: what their usage costs, and how a level is billed."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from sidecar.domain.catalog.kinds import FeatureCost, LevelBilling, LevelMeasure, Swaps
from sidecar.domain.company.model import MONTHLY
from sidecar.domain.credits.costs import price_of
from sidecar.domain.credits.prices import OTHERWISE, CostTable, Price
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.windows import Alignment
from sidecar.shared.catalog_file.fields import (
    Fields,
    entry_of,
    integer_of,
    own_text,
    table_of,
    text_of,
)
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.yaml_tree import Node, Table

FREE: Final = "free"
ALIGNMENTS: Final = {"calendar": Alignment.CALENDAR, "billing": Alignment.ANCHORED}
_SOME_PRICE: Final = Price(1)
"""Stands for one that is wrong, which has been told."""


class KindBuilder:
    """Builds what features of one kind alone have."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def costs(self, path: Path, node: Node) -> tuple[FeatureCost, ...]:
        """Build what usage of a feature costs, by credits."""
        return tuple(
            FeatureCost(key, self._table((*path, "costs", key), entry))
            for key, entry in table_of(node, "costs").items()
        )

    def billing(self, path: Path, node: Node) -> LevelBilling | None:
        """Build how a level is billed; `None` where it is not."""
        measure = text_of(node, "billed")
        if not measure:
            if entry_of(node, "billed_per") is not None:
                self._fields.note((*path, "billed_per"), "needs billed: peak, or average")
            return None
        window = self._fields.window(path, node, "billed_per", Alignment.ANCHORED)
        return LevelBilling(LevelMeasure[measure.upper()], window or MONTHLY)

    def swaps(self, path: Path, node: Node) -> Swaps | None:
        """Build how many seats may change hands; `None` for any number."""
        entry = entry_of(node, "swaps")
        if entry is None:
            return None
        alignment = ALIGNMENTS[text_of(entry, "align", "calendar")]
        window = self._fields.window((*path, "swaps"), entry, "per", alignment)
        return Swaps(integer_of(entry, "amount", 0), window or MONTHLY)

    def _table(self, path: Path, node: Node) -> CostTable:
        if not isinstance(node, Table):
            return CostTable(self._price(path, node, 1))
        per, price, by = self._per(path, node, 1), entry_of(node, "price"), table_of(node, "by")
        if price is not None and by:
            message = f"is that of all usage: beside by, write it as {OTHERWISE} of the dimension"
            self._fields.note((*path, "price"), message)
        if not by:
            if price is None:
                self._fields.note((*path, "price"), "is missing; or by, for prices by a dimension")
                return CostTable(_SOME_PRICE)
            return CostTable(self._price((*path, "price"), price, per))
        if len(by) > 1:
            message = f"prices go by one dimension, not by {', '.join(by)}"
            self._fields.note((*path, "by"), message)
        dimension = next(iter(by))
        place = (*path, "by", dimension)
        prices = {
            value: self._price((*place, value), entry, per)
            for value, entry in table_of(entry_of(node, "by") or node, dimension).items()
        }
        return CostTable(prices.pop(OTHERWISE, None), dimension, prices)

    def _per(self, path: Path, node: Node, default: int) -> int:
        per = integer_of(node, "per", default)
        if per < 1:
            self._fields.note((*path, "per"), "must be 1 or more: a price is for so many units")
        return max(1, per)

    def _price(self, path: Path, node: Node, per: int) -> Price:
        """Build a price: micro-credits for so many units, unless it says for how many itself."""
        if isinstance(node, Table):
            price = entry_of(node, "price")
            if price is None:
                self._fields.note((*path, "price"), "is missing")
                return _SOME_PRICE
            return self._price((*path, "price"), price, self._per(path, node, per))
        text = own_text(node)
        if text == FREE:
            return Price(0)
        try:
            micro_credits = Fraction(text.replace("_", ""))
            if not micro_credits:
                self._fields.note(path, f"must not be 0; write {FREE} where it costs nothing")
                return _SOME_PRICE
            return price_of("", micro_credits, per)
        except InvalidInput as error:
            self._fields.note(path, error.message)
        except ValueError:
            self._fields.note(path, f"must be a number such as 2 or 0.25, or {FREE}; is {text}")
        return _SOME_PRICE
