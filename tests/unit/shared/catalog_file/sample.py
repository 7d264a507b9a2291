"""Catalog files that are right, for tests to break in one place."""

from sidecar.shared.catalog_file.load import CatalogFileError, parse_catalog

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

FULL_SAMPLE = """\
default_plan: free
features:
  tokens:
    kind: metered
    fail:
      no_snapshot: default_plan
      stale: deny
      stale_after: 15m
      outbox_full: allow
      no_lease: allow
  sso: {kind: boolean}
  days: {kind: config}
plans:
  free: {}
  pro:
    entitlements:
      tokens:
        limits:
          monthly:
            amount: 1_000
            per: month
            align: billing
            across: eventual
            rollover: {windows: 3, amount: 500, percent: 50}
          daily:
            amount: 100
            per: day
            enforcement: throttle
            throttle: {count: 1, per: second, burst: 5}
        rates:
          burst:
            count: 10
            per: 2 seconds
            burst: 20
            each: [user]
            enforcement: shadow
            when: {model: large}
add_ons:
  extra_tokens:
    name: Extra tokens
    rank: 1
    entitlements:
      tokens:
        merge: override
        limits: {monthly: {amount: 5, per: month}}
      sso: true
      days: {value: 90, merge: increment}
  seats: {}
companies:
  acme:
    plan: pro
    anchor: 2026-01-31T00:00:00Z
    billing_period: 3 months
    add_ons: {extra_tokens: 2, seats: 1_000}
    trial_ends_at: 2026-02-01T00:00:00Z
    after_trial: active
    cancel_at: 2026-02-09T00:00:00Z
    ends_at: 2026-02-08T00:00:00Z
    past_due: {since: 2026-02-02T00:00:00Z, grace_ends_at: 2026-02-03T00:00:00Z}
    pause:
      starts_at: 2026-02-04T00:00:00Z
      resumes_at: 2026-02-05T00:00:00Z
      moves_anchor: true
    changes:
      - at: 2026-02-06T00:00:00Z
        plan: free
        add_ons: {seats: 3}
      - {at: 2026-02-07T00:00:00Z, add_ons: {}, resets_usage: true, moves_anchor: true}
    overrides:
      tokens:
        rates: {slow: {count: 1, per: 1 minute}}
        replace: true
"""
"""Every field that SAMPLE leaves out."""


def problems_of(text: str) -> list[str]:
    """Lines as `line:column: field: message`; none for a file that is right."""
    try:
        parse_catalog(text.encode(), "file")
    except CatalogFileError as error:
        return [line.removeprefix("file:") for line in error.lines()]
    return []


def problems_after(old: str, new: str, sample: str = SAMPLE) -> list[str]:
    """Problems of a sample with one passage replaced."""
    assert sample.count(old) == 1, f"{old!r} must stand once in the sample"
    return problems_of(sample.replace(old, new))
