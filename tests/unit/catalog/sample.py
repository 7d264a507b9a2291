"""A catalog file that is right, for tests to break in one place."""

from sidecar.catalog.load import CatalogFileError, parse_catalog

SAMPLE = """\
features:
  tokens: {kind: metered, unit: token}
  sso: {kind: boolean}
  days: {kind: config}
plans:
  pro:
    entitlements:
      tokens:
        limits:
          monthly:
            amount: 100
            per: month
            each: [user]
            when: {model: large}
            warn_at: [50, 100]
      sso: true
      days: 30
companies:
  acme:
    time_zone: Europe/Berlin
    plan: pro
    anchor: 2026-01-31T00:00:00Z
    overrides:
      sso: {value: false, expires_at: 2027-01-01T00:00:00Z}
"""


def problems_of(text: str) -> list[str]:
    """Lines as `line:column: field: message`; none for a file that is right."""
    try:
        parse_catalog(text.encode(), "file")
    except CatalogFileError as error:
        return [line.removeprefix("file:") for line in error.lines()]
    return []


def problems_after(old: str, new: str) -> list[str]:
    """Problems of the sample with one passage replaced."""
    assert SAMPLE.count(old) == 1, f"{old!r} must stand once in the sample"
    return problems_of(SAMPLE.replace(old, new))
