"""Scenarios with credits, seats and levels are played by the real rules."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.domain.formatting import instant_text
from sidecar.shared.catalog_file.problems import CatalogFileError
from sidecar.sim.play import Played
from sidecar.sim.report import report_json
from tests.unit.sim.support import played, scenario, texts

HEAD = """\
catalog:
  features:
    credits: {kind: credits}
    tokens:
      kind: metered
      dimensions: {model: {required: true, values: [small, large]}}
      costs: {credits: {by: {model: {small: 1, large: 10}}}}
    members: {kind: seats}
    jobs: {kind: level, dimensions: {user: optional}}
  plans:
    pro:
      entitlements:
        credits:
          limits: {monthly: {amount: 1_000, per: month, align: billing}}
          overdraft: 100
        tokens: unlimited
        members: {limits: {named: {amount: 2}}}
        jobs: {limits: {running: {amount: 5}}}
company: {plan: pro, anchor: 2026-01-01}
starts_at: 2026-01-01
"""
LARGE = "usage: {feature: tokens, quantity: 10, dimensions: {model: large}"


def told(result: Played, *kinds: str) -> list[str]:
    return [event.text for event in result.events if event.kind in kinds]


def play_kinds(*steps: str) -> Played:
    return played("\n".join(f"- {step}" for step in steps), HEAD)


def first_period(result: Played) -> Any:
    periods: Any = report_json(result)["periods"]
    return periods[0]


def test_a_balance_is_burned_by_price_until_it_and_its_overdraft_are_used_up() -> None:
    result = play_kinds(
        f"{{{LARGE}, every: 1d}}}}",
        "{at: day 12 12:00, expect: {balances: {credits: -100}}}",
        "expect: {feature: tokens, dimensions: {model: small}, allowed: false,"
        " reason: CREDITS_EXHAUSTED}",
    )

    assert [] == result.unmet
    asked = "tokens (model=large) 10:"
    assert [
        f"{asked} allowed, 100 of credits are owed for it",
        f"{asked} CREDITS_EXHAUSTED, needs 100 of credits, 0 left",
    ] == told(result, "overdraft", "denied")
    assert [{"feature": "credits", "burned": 1_100}] == first_period(result)["credits"]


def test_a_new_window_repays_what_is_owed() -> None:
    result = play_kinds(
        f"{{{LARGE}, every: 1d}}}}", "{at: 2026-02-01, expect: {balances: {credits: 900}}}"
    )

    assert [] == result.unmet
    assert ["credits: 100 of what was owed, 0 left"] == texts(result, "repaid")


def test_a_grant_burns_before_what_lasts_longer_and_expires_on_its_instant() -> None:
    result = play_kinds(
        "grant_credits: {feature: credits, amount: 150, id: gift, until: 2026-01-03}",
        f"{{{LARGE}}}, expect: {{burned: {{credits: 100}}}}}}",
        "{at: 2026-01-02, expect: {balances: {credits: 1_050}}}",
        "{at: 2026-01-03, expect: {balances: {credits: 1_000}}}",
    )

    assert [] == result.unmet
    assert ["gift, of credits: 150 until 2026-01-03"] == texts(result, "grant")
    assert ["credits gift: used 100 of 150, 50 expired"] == texts(result, "expires")


def test_a_grant_that_starts_later_is_told_when_it_does() -> None:
    result = play_kinds(
        "grant_credits: {feature: credits, amount: 150, id: gift, from: 2026-01-05}",
        "{at: 2026-01-04, expect: {balances: {credits: 1_000}}}",
        "{at: 2026-01-05, expect: {balances: {credits: 1_150}}}",
    )

    assert [] == result.unmet
    (begins,) = [event for event in result.events if event.kind == "may use"]
    assert (4, "credits gift: 150") == (
        (begins.at_us - result.scenario.starts_us) // 86_400_000_000,
        begins.text,
    )


def test_a_void_takes_what_nobody_has_burned() -> None:
    result = play_kinds(
        "grant_credits: {feature: credits, amount: 150, id: gift, until: 2026-01-03}",
        f"{LARGE}}}",
        "void_credits: gift",
        "expect: {balances: {credits: 1_000}}",
        "{void_credits: nothing, refused: true}",
    )

    assert [] == result.unmet
    assert ["gift, of credits: took 50, 100 were burned"] == texts(result, "void")


def test_what_is_left_once_a_subscription_is_over_is_void_where_the_plan_says_so() -> None:
    head = HEAD.replace("  pro:\n", "  pro:\n      unused_credits: void\n", 1)
    result = played(
        "- grant_credits: {feature: credits, amount: 300, id: gift}\n"
        "- cancel: {when: period-end}\n"
        "- {at: 2026-02-02, renew: , expect: {balances: {credits: 1_000}}}",
        head,
    )

    assert [] == result.unmet
    (void,) = [event for event in result.events if event.kind == "void"]
    assert "gift, of credits: took 300, since the subscription is over" == void.text
    assert "2026-02-01" == instant_text(void.at_us)[:10]


def test_seats_have_named_holders_up_to_their_number() -> None:
    result = play_kinds(
        "acquire_seat: {feature: members, holder: ann}",
        "acquire_seat: {feature: members, holder: ann}",
        "{acquire_seat: {feature: members, holder: ben}, expect: {allowed: true}}",
        "{acquire_seat: {feature: members, holder: cleo},"
        " expect: {allowed: false, reason: SEATS_EXHAUSTED, limits: {named: {used: 2}}}}",
        "release_seat: {feature: members, holder: ann}",
        "release_seat: {feature: members, holder: ann}",
        "{acquire_seat: {feature: members, holder: cleo}, expect: {allowed: true}}",
    )

    assert [] == result.unmet
    assert [
        "members: ann takes a seat, 1 of 2 held",
        "members: ann has a seat already, 1 of 2 held",
        "members: ben takes a seat, 2 of 2 held",
        "members: cleo: SEATS_EXHAUSTED by named, 0 left",
        "members: ann gives the seat back",
        "members: ann has no seat to give back",
        "members: cleo takes a seat, 2 of 2 held",
    ] == told(result, "seat", "denied")
    assert [] == texts(result, "reset")


def test_a_level_rises_and_falls_and_what_has_a_time_to_live_comes_back() -> None:
    result = play_kinds(
        "{adjust_level: {feature: jobs, amount: 3}, expect: {limits: {running: {used: 3}}}}",
        "adjust_level: {feature: jobs, amount: 2, item: render, ttl: 12h}",
        "{adjust_level: {feature: jobs, amount: 1}, expect: {allowed: false, remaining: 0}}",
        "{at: +12h, expect: {feature: jobs, limits: {running: {used: 3}}}}",
        "set_level: {feature: jobs, level: 1}",
        "{adjust_level: {feature: jobs, amount: -2}, refused: true}",
        "{at: +12h, expect: {feature: jobs, limits: {running: {used: 1}}}}",
    )

    assert [] == result.unmet
    assert [
        "jobs +3, 3 of 5 in use",
        "jobs render +2, 5 of 5 in use; comes back 2026-01-01 12:00",
        "jobs +1: LIMIT_EXCEEDED by running, 0 left",
        "jobs render: its 2 came back",
        "jobs -2, 1 of 5 in use",
    ] == told(result, "level", "denied")
    (jobs,) = first_period(result)["features"]
    assert {"peak": 5, "average": "3"} == {name: jobs[name] for name in ("peak", "average")}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("grant_credits: {feature: nothing, amount: 1}", "nothing"),
        ("grant_credits: {feature: credits, amount: -1}", "less than 0"),
        ("grant_credits: {feature: credits, amount: 1, until: 2025-12-31}", "must be after"),
        ("acquire_seat: {feature: members}", "is missing"),
        ("set_level: {feature: jobs, level: -1}", "less than 0"),
        ("adjust_level: {feature: jobs, amount: 1, ttl: soon}", "a length of time"),
        ("set_level: {feature: jobs, level: 1, ttl: 1h}", "none is named"),
        (
            "{acquire_seat: {feature: members, holder: ann}, expect: {feature: jobs}}",
            "asks for nothing else",
        ),
    ],
)
def test_a_step_that_is_wrong_is_told_with_its_place(step: str, message: str) -> None:
    with pytest.raises(CatalogFileError) as raised:
        scenario(f"- {step}", HEAD)

    (problem,) = raised.value.problems
    assert problem.at.line == len(HEAD.splitlines()) + 2
    assert message in problem.message


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("grant_credits: {feature: credits, amount: 0}", id="nothing is granted"),
        pytest.param("grant_credits: {feature: tokens, amount: 1}", id="it is no credits"),
        pytest.param("acquire_seat: {feature: jobs, holder: ann}", id="it has no seats"),
        pytest.param("adjust_level: {feature: members, amount: 1}", id="it is no level"),
    ],
)
def test_what_the_rules_refuse_moves_nothing(step: str) -> None:
    result = play_kinds(f"{{{step}, refused: true}}", "expect: {balances: {credits: 1_000}}")

    assert [] == result.unmet
    assert 1 == len(texts(result, "refused"))
