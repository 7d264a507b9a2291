"""Why a catalog cannot be applied for what companies have, each with a way out, several at once."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from sidecar.domain.company.model import Company
from sidecar.domain.validation import Path

_TOLD_MAX: Final = 10
_FIELDS: Final = {"trial_end_plan": "trial", "past_due": "past_due"}


def told_together(problems: Iterable[tuple[str, str]]) -> str:
    """What is wrong, each with its way out or an empty text; the first ten."""
    found = list(islice(problems, _TOLD_MAX + 1))
    told = [f"{text} (way out: {out})" if out else text for text, out in found[:_TOLD_MAX]]
    more = ["and more"] if len(found) > _TOLD_MAX else []
    return "; ".join([*told, *more])


def of_given(company: Company, path: Path) -> str:
    """How a company that is in the file loses what the catalog lacks; empty where not by a call.

    `path`: of the company's field at fault.
    """
    if path[0] == "overrides":
        return _revoked(company, path)
    field = _FIELDS.get(str(path[1]), "plan") if len(path) > 1 else "plan"
    add_on = _add_on(company, path)
    return f"--take-over {company.id}.{f'add_ons.{add_on}' if add_on else field}"


def of_another(company: Company, path: Path) -> str:
    """The same of a company that is not in the file."""
    if path[0] == "overrides":
        return _revoked(company, path)
    match path[1:]:
        case ("changes", *_):
            return f"tallyd subscription drop-planned {company.id}"
        case ("add_ons", *_):
            return f"tallyd subscription add-on {company.id} {_add_on(company, path)} 0"
        case ("plan",):
            return f"tallyd subscription change {company.id} --plan PLAN"
    return ""


def _revoked(company: Company, path: Path) -> str:
    id_ = company.overrides[int(path[1])].entitlement.id
    return f"tallyd revoke {company.id} {id_}" if id_ else ""


def _add_on(company: Company, path: Path) -> str:
    """The add-on that a path is about, now or once planned; empty for none."""
    subscription = company.subscription
    assert subscription is not None, "a path into it was found"
    match path[1:]:
        case ("add_ons", int(at), *_):
            return subscription.add_ons[at].add_on
        case ("changes", int(change), "add_ons", "add_ons", int(at), *_):
            return (subscription.changes[change].add_ons or ())[at].add_on
    return ""
