"""Scenarios are played by the real rules, on virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.domain.errors import InvalidInput
from sidecar.domain.formatting import instant_text
from sidecar.sim import world
from sidecar.sim.report import report_json, report_lines
from tests.unit.sim.support import CATALOG, HEAD, played, texts


def _day(instant_us: int) -> str:
    return instant_text(instant_us)[5:10]


HOURLY = "- usage: {feature: calls, every: 1h}\n"


def test_the_first_denial_of_a_period_is_told_and_all_are_counted() -> None:
    result = played(f"{HOURLY}- {{at: 2026-02-28 00:30, expect: {{status: active}}}}")

    (denied,) = texts(result, "denied")
    assert "calls 1: LIMIT_EXCEEDED by monthly, 0 left, resets 2026-02-28" == denied
    first = result.periods[0].features["calls"]
    assert (100, 100, 28 * 24 - 100) == (first.records, first.quantity, first.denied)


def test_everything_tells_each_decision() -> None:
    result = played(f"{HOURLY}- {{at: +5d, expect: {{status: active}}}}", everything=True)

    assert (100, 20) == (len(texts(result, "allowed")), len(texts(result, "denied")))


def test_windows_end_before_the_steps_and_the_usage_of_their_instant() -> None:
    result = played(
        "- usage: {feature: calls, quantity: 7}\n"
        "- {at: 2026-02-28, usage: {feature: calls, quantity: 90}, expect: {allowed: true}}\n"
        "- expect: {feature: calls, limits: {monthly: {used: 90}}}"
    )

    assert [] == result.unmet
    assert ["calls monthly: used 7 of 100, 93 left"] == texts(result, "reset")


def test_a_change_at_the_end_of_the_period_waits_for_it() -> None:
    result = played(
        "- {at: day 5, change: {plan: free, when: period-end}}\n"
        "- {at: 2026-02-27 23:59, expect: {plan: pro}}\n"
        "- {at: 2026-02-28, expect: {plan: free, feature: sso, allowed: false}}"
    )

    assert [] == result.unmet
    assert ["plan free; takes effect 2026-02-28"] == texts(result, "change")
    assert ["plan free"] == texts(result, "becomes")
    assert "sso: off" in texts(result, "may use")


LIFE = {
    "canceled": ("cancel:", "canceled", "SUBSCRIPTION_CANCELED"),
    "paused": ("pause: {until: +3d}", "paused", "SUBSCRIPTION_PAUSED"),
    "late": ("past_due: {grace_until: +1h}", "past_due", "SUBSCRIPTION_PAST_DUE"),
}


@pytest.mark.parametrize(("step", "status", "reason"), LIFE.values(), ids=LIFE)
def test_the_subscription_decides(step: str, status: str, reason: str) -> None:
    expect = f"{{status: {status}, feature: calls, allowed: false, reason: {reason}}}"

    result = played(f"- {step}\n- {{at: +2h, expect: {expect}}}")

    assert [] == result.unmet


def test_a_refused_change_is_told_and_is_no_success() -> None:
    result = played("- paid: {}")

    assert ["paid: no payment is late"] == texts(result, "refused")
    assert ["refused: no payment is late"] == [unmet.message for unmet in result.unmet]


def test_a_change_may_be_expected_to_be_refused() -> None:
    result = played("- {paid: {}, refused: true}\n- {pause: {}, refused: true}")

    assert ["was to be refused, and is not"] == [unmet.message for unmet in result.unmet]
    assert 2 == result.expected


DECLARED = HEAD.replace(
    "calls: {kind: metered}", "calls: {kind: metered, dimensions: {user: required}}"
)
REFUSED_REQUESTS = {
    "usage": "usage: {feature: calls, dimensions: {usr: ann}}",
    "usage again and again": "usage: {feature: calls, dimensions: {usr: ann}, every: 1h}",
    "a question": "expect: {feature: calls, dimensions: {usr: ann}, allowed: true}",
}


@pytest.mark.parametrize("step", REFUSED_REQUESTS.values(), ids=REFUSED_REQUESTS)
def test_a_request_that_is_refused_is_told_once_and_is_no_success(step: str) -> None:
    result = played(f"- {step}\n- {{at: +1d, expect: {{status: active}}}}", DECLARED)

    (unmet,) = result.unmet
    assert unmet.message.startswith("refused: ")
    assert "user" in unmet.message
    assert 1 == len(texts(result, "refused"))


@pytest.mark.parametrize("name", ["usage", "a question"])
def test_a_request_may_be_expected_to_be_refused(name: str) -> None:
    result = played(f"- {REFUSED_REQUESTS[name][:-1]}}}\n  refused: true", DECLARED)

    assert [] == result.unmet


def test_what_is_not_as_expected_is_told_with_its_place() -> None:
    result = played(
        "- usage: {feature: calls, quantity: 3}\n"
        "- expect:\n"
        "    feature: calls\n"
        "    quantity: 98\n"
        "    allowed: true\n"
        "    limits: {monthly: {used: 4, remaining: 97}, weekly: {used: 0}}"
    )

    lines = [line.text.strip() for line in report_lines(result) if line.kind == "not met"]
    assert [
        "steps[1].expect.allowed: expected true, is false",
        "steps[1].expect.limits.monthly.used: expected 4, is 3",
        "steps[1].expect.limits.weekly.used: expected 0, is nothing",
    ] == [line.split(": ", 1)[1] for line in lines if line.startswith("scenario.yaml:")]
    assert 4 == result.expected


def test_a_price_change_is_tried_in_the_middle_of_a_month() -> None:
    result = played(
        "- usage: {feature: calls, quantity: 60}\n"
        "- at: +1d\n"
        "  catalog: {plans: {pro: {entitlements: {calls: {limits: {monthly: {amount: 40}}}}}}}\n"
        "- expect: {plan: pro, feature: calls, allowed: false, remaining: 0}\n"
        "- expect: {feature: calls, limits: {monthly: {remaining: 0, overage: 20}}}\n"
        "- expect: {feature: sso, allowed: true}\n"
        "- catalog: {plans: {pro: {entitlements: {sso: null, calls: unlimited}}}}\n"
        "- expect: {feature: sso, allowed: false}\n"
        "- expect: {feature: calls, quantity: 1_000_000, allowed: true}"
    )

    assert [] == result.unmet
    assert "calls monthly: 40, was 100; used 60" in texts(result, "may use")


def test_a_denial_is_told_again_once_the_catalog_is_another() -> None:
    result = played(
        "- usage: {feature: calls, quantity: 101, every: 1d, until: +6d}\n"
        "- at: +3d\n"
        "  catalog: {plans: {pro: {entitlements: {calls: {limits: {monthly: {amount: 90}}}}}}}"
    )

    assert 2 == len(texts(result, "denied"))


def test_what_one_request_may_ask_for_is_among_the_limits() -> None:
    batch = "{monthly: {amount: 100, per: month, align: billing}, batch: {amount: 5, per: request}}"
    result = played(
        "- usage: {feature: calls, quantity: 6}\n"
        "  expect: {allowed: false, binding: batch, remaining: 5}\n"
        "- expect: {feature: calls, limits: {batch: {amount: 5}, monthly: {used: 0}}}",
        HEAD.replace("{monthly: {amount: 100, per: month, align: billing}}", batch, 1),
    )

    assert [] == result.unmet


def test_a_limit_that_counts_otherwise_goes_on_with_what_was_used() -> None:
    result = played(
        "- usage: {feature: calls, quantity: 60}\n"
        "- at: day 3\n"
        "  catalog:\n"
        "    plans: {pro: {entitlements: {calls: {limits: {monthly: {per: year}}}}}}\n"
        "    add_ons: {pack: null}\n"
        "- expect: {feature: calls, limits: {monthly: {used: 60, remaining: 40}}}"
    )
    assert [] == result.unmet


def test_a_catalog_may_come_from_a_file(tmp_path: Path) -> None:
    content = "".join(line[2:] + "\n" for line in CATALOG.splitlines()[1:])
    content += "companies: {acme: {plan: free, anchor: 2026-01-01T00:00:00Z}}\n"
    (tmp_path / "catalog.yaml").write_text(content)
    head = "catalog: catalog.yaml\ncompany: acme\nstarts_at: 2026-01-31\n"

    result = played("- expect: {plan: free}\n- catalog: catalog.yaml", head, folder=tmp_path)

    assert [] == result.unmet


def test_an_override_ends_by_itself_and_can_be_taken_away() -> None:
    grant = "calls: {limits: {monthly: {amount: 500}}, expires_at: +2d}"
    result = played(
        f"- overrides: {{{grant}, sso: false}}\n"
        "- expect: {feature: calls, limits: {monthly: {amount: 500}}}\n"
        "- {at: +1d, overrides: {sso: null}}\n"
        "- expect: {feature: sso, allowed: true}\n"
        "- expect: {feature: calls, limits: {monthly: {amount: 500}}}\n"
        "- {at: +1d, expect: {feature: calls, limits: {monthly: {amount: 100}}}}"
    )

    assert [] == result.unmet


MODES = {
    "check": ("allowed: false, granted: 0, reason: LIMIT_EXCEEDED", 90),
    "up_to": ("allowed: true, granted: 10", 100),
    "record": ("allowed: true, granted: 50, reason: LIMIT_EXCEEDED", 140),
}


@pytest.mark.parametrize("mode", MODES)
def test_usage_is_asked_for_or_has_happened(mode: str) -> None:
    expect, used = MODES[mode]
    result = played(
        "- usage: {feature: calls, quantity: 90}\n"
        f"- usage: {{feature: calls, quantity: 50, mode: {mode}}}\n"
        f"  expect: {{{expect}, limits: {{monthly: {{used: {used}}}}}}}"
    )

    assert [] == result.unmet


def test_what_is_unused_rolls_over_by_the_planes_rule() -> None:
    head = HEAD.replace("amount: 100,", "amount: 100, rollover: {windows: 1},")
    result = played(
        "- usage: {feature: calls, quantity: 30}\n"
        "- at: 2026-02-28\n"
        "  expect: {feature: calls, limits: {monthly: {carried: 70, remaining: 170}}}\n"
        "- at: 2026-03-31\n"
        "  expect: {feature: calls, limits: {monthly: {carried: 100, remaining: 200}}}",
        head,
    )

    assert [] == result.unmet
    assert "calls monthly: used 30 of 100, 70 left, 70 carried on" in texts(result, "reset")


def test_too_many_windows_that_roll_over_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "CLOSED_MAX", 30)
    head = HEAD.replace(
        "amount: 100, per: month, align: billing", "amount: 1, per: day, rollover: {}"
    ).replace("{amount: 50, per: month, align: billing}", "50")

    with pytest.raises(InvalidInput, match="closes more than 30 windows"):
        played("- {at: +40d, expect: {plan: pro}}", head)


def test_billed_is_what_was_held_while_it_was_active() -> None:
    trial = "company: {plan: pro, anchor: +7d, trial_ends_at: +7d, after_trial: active}"
    head = f"{CATALOG}\n{trial}\nstarts_at: 2026-01-24\n"
    result = played(
        "- {at: 2026-02-10, add_on: {key: pack, quantity: 2}}\n"
        "- {at: 2026-02-20, cancel: {when: 2026-02-25}}\n"
        "- {at: 2026-03-01, expect: {status: canceled}}",
        head,
    )

    held = [
        (of.key, of.quantity, of.billable, _day(of.from_us), _day(of.until_us))
        for period in result.periods
        for of in period.held
    ]
    assert [
        ("pro", 1, False, "01-24", "01-31"),
        ("pro", 1, True, "01-31", "02-25"),
        ("pack", 2, True, "02-10", "02-25"),
    ] == held


def test_a_moved_anchor_ends_the_period() -> None:
    result = played(
        "- {at: 2026-02-10, change: {plan: pro, move_anchor: true}}\n"
        "- {at: 2026-03-10, expect: {status: active}}"
    )

    days = [f"{_day(period.from_us)} {_day(period.until_us)}" for period in result.periods]
    assert ["01-31 02-10", "02-10 03-10"] == days


def test_played_twice_it_is_the_same() -> None:
    steps = f"{HOURLY}- {{at: +40d, expect: {{plan: pro}}}}"

    assert report_json(played(steps)) == report_json(played(steps))


def test_a_company_without_subscription_is_denied() -> None:
    head = f"{CATALOG}\ncompany: {{}}\nstarts_at: 2026-01-31\n"
    result = played(
        "- {at: +1d, usage: {feature: calls}, expect: {status: none, allowed: false}}", head
    )

    assert [] == result.unmet
    assert ["no subscription, no plan"] == texts(result, "starts")


def test_a_change_says_what_becomes_of_what_was_planned() -> None:
    result = played(
        "- {at: day 5, change: {plan: free, when: period-end}}\n"
        "- {at: day 9, change: {plan: pro, reset_usage: true}, refused: true}\n"
        "- {at: day 9, change: {plan: pro, reset_usage: true, planned: drop}}\n"
        "- {at: 2026-03-01, expect: {plan: pro}}"
    )

    assert [] == result.unmet
    assert texts(result, "change")[-1].endswith("; drops plan free at 2026-02-28")


def test_what_is_planned_is_dropped_by_name() -> None:
    result = played(
        "- change: {plan: free, when: +9d}\n"
        "- reset_usage: {when: +5d}\n"
        "- drop_planned: {what: [plan]}\n"
        "- {at: +10d, expect: {plan: pro}}\n"
    )

    assert [] == result.unmet
    assert "planned changes dropped; drops plan free at 2026-02-09" in texts(result, "change")
    assert ["every counter starts again from 0"] == texts(result, "becomes")


def test_a_trial_is_extended() -> None:
    trial = "company: {plan: pro, anchor: +7d, trial_ends_at: +7d, after_trial: active}"
    result = played(
        "- {at: day 5, extend_trial: {until: +10d}}\n"
        "- {at: day 14, expect: {status: trialing}}\n"
        "- {at: day 15, expect: {status: active}}",
        f"{CATALOG}\n{trial}\nstarts_at: 2026-01-24\n",
    )

    assert [] == result.unmet
    assert ["trial until 2026-02-07"] == texts(result, "change")


def test_a_trial_is_ended_as_bought_and_a_renewal_leaves_it() -> None:
    trial = "company: {plan: pro, anchor: +7d, trial_ends_at: +7d}"
    result = played(
        "- {at: day 3, cancel: {when: +1d}}\n"
        "- {renew: , expect: {status: trialing}}\n"
        "- {end_trial: , expect: {status: active}}\n"
        "- {end_trial: , refused: true}\n"
        "- {at: day 9, expect: {status: active}}",
        f"{CATALOG}\n{trial}\nstarts_at: 2026-01-24\n",
    )

    assert [] == result.unmet


def test_a_subscription_that_is_over_is_renewed_with_a_plan() -> None:
    result = played(
        "- cancel:\n"
        "- {at: +2d, change: free, refused: true}\n"
        "- {change: {plan: free, renew: true}, expect: {status: active, plan: free}}"
    )

    assert [] == result.unmet


@pytest.mark.parametrize("every", ["1d", "12h"])
def test_usage_of_every_day_comes_at_the_same_time_of_day(every: str) -> None:
    """In the night to 29 March an hour is left out."""
    head = HEAD.replace("anchor: 2026-01-31", "anchor: 2026-01-31, time_zone: Europe/Berlin")
    result = played(
        f"- {{at: 2026-03-28 12:00, usage: {{feature: calls, every: {every}}}}}\n"
        "- {at: 2026-03-30, expect: {status: active}}",
        head,
        everything=True,
    )

    hours = [instant_text(event.at_us)[5:13] for event in result.events if event.kind == "allowed"]
    assert (
        hours
        == {
            "1d": ["03-28T11", "03-29T10"],
            "12h": ["03-28T11", "03-28T23", "03-29T11"],
        }[every]
    )


def test_what_is_granted_is_there_until_it_is_revoked() -> None:
    result = played(
        "- grant: {feature: calls, id: promo, limits: {monthly: +50}, expires_at: +9d}\n"
        "- expect: {feature: calls, limits: {monthly: {amount: 150}}}\n"
        "- {at: +2d, revoke: promo}\n"
        "- expect: {feature: calls, limits: {monthly: {amount: 100}}}\n"
        "- {revoke: nothing, refused: true}"
    )

    assert [] == result.unmet
    assert ["promo, of calls"] == texts(result, "grant")
