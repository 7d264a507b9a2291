"""Who decides for a company: it itself, where it is held, or what stands in for it."""

from __future__ import annotations

from sidecar.directory.directory import Directory
from sidecar.directory.resolved import ResolvedCompany


def deciding_company(
    directory: Directory, company: str, at_us: int, now_us: int, *, final: bool
) -> ResolvedCompany | None:
    """The company in the segment that holds an instant; else the default plan's, if it is absent.

    `None` for one of which nothing is known, or that is absent without a default plan. `final`: the
    plane can't be asked again; what it said last holds.
    """
    held = directory.company(company, at_us)
    if held is None and directory.is_absent(company, now_us, final=final):
        return directory.default_company(company)
    return held
