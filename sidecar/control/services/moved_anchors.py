"""Says where the billing cycle of a company starts anew by what is applied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sidecar.control.services.given_companies import GivenCompany
from sidecar.domain.company.model import Company
from sidecar.domain.company.timeline import anchor_at
from sidecar.domain.formatting import instant_text
from sidecar.domain.validation import RuleProblem


def moved_anchor_warnings(
    given: Sequence[Company], put: Iterable[GivenCompany], now_us: int
) -> Iterator[RuleProblem]:
    """Yield the companies whose billing anchor is another from now on; paths are of `given`.

    `put`: what changes of them.
    """
    changed = {each.said.id: each for each in put}
    for at, company in enumerate(given):
        each = changed.get(company.id)
        if each is None or each.before is None:
            continue
        before, after = each.before, each.company
        was, now = anchor_at(before.subscription, now_us), anchor_at(after.subscription, now_us)
        if was is None or now is None or was == now:
            continue
        message = (
            f"the billing cycle of {company.id!r} starts anew now (anchor {instant_text(was)} -> "
            f"{instant_text(now)}): limits that follow it count from 0 again"
        )
        if before.time_zone != after.time_zone:
            message += (
                "; an anchor that is a day is its midnight in the company's time zone: write the "
                "instant as it was to leave it there"
            )
        yield RuleProblem(("companies", at, "subscription", "anchor"), message)
