"""Answers that come page by page, as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Page = TypeVar("_Page", bound=Any)
"""An answer that says where it goes on (`next_page_token`)."""


def paged(
    ask: Callable[..., _Page],
    request: Any,
    timeout_s: float,
    rows_max: int,
    rows: Callable[[_Page], int],
    join: Callable[[_Page, _Page], None],
) -> _Page:
    """Ask for page after page until there are enough rows or no more; all of them as one answer."""
    answer = ask(request, timeout=timeout_s)
    while answer.next_page_token and rows(answer) < rows_max:
        request.page_token = answer.next_page_token
        more = ask(request, timeout=timeout_s)
        join(answer, more)
        answer.next_page_token = more.next_page_token
    return answer
