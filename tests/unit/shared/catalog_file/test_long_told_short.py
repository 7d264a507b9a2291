"""What is long in a file is told in a line that people can read."""

from __future__ import annotations

import pytest

from sidecar.shared.catalog_file.load import CatalogFileError, parse_catalog


def lines_of(text: str) -> list[str]:
    with pytest.raises(CatalogFileError) as refused:
        parse_catalog(text.encode(), "f")
    return refused.value.lines()


def test_a_long_ring_of_plans_is_told_without_its_middle() -> None:
    plans = "".join(f"  p{at}: {{extends: p{(at + 1) % 1000}}}\n" for at in range(1000))
    (line,) = lines_of(f"features: {{}}\nplans:\n{plans}")
    ring = "p0 extends p1 extends p2 extends p3 extends (993 more) extends p997 extends p998"
    assert line.endswith(f"a plan cannot extend itself: {ring} extends p999 extends p0")


def test_a_number_of_thousands_of_digits_is_one_problem() -> None:
    limit = f"{{amount: {'9' * 5000}, per: month}}"
    grant = f"{{t: {{limits: {{m: {limit}}}}}}}"
    (line,) = lines_of(
        f"features: {{t: {{kind: metered}}}}\nplans: {{p: {{entitlements: {grant}}}}}\n"
    )
    assert line.endswith("is more than 9223372036854775807")
    assert len(line) < 200
