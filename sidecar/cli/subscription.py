"""`tallyd subscription`: shows and changes what a company has bought, now or later."""

from __future__ import annotations

from typing import Final

import click
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import output
from sidecar.cli.common import examples
from sidecar.cli.completion import complete_add_on, complete_plan
from sidecar.cli.subscription_calls import (
    Call,
    ChangeInstant,
    at_option,
    call_options,
    change_options,
    company_argument,
    history_option,
    move_anchor_option,
    planned_option,
    send,
    show_company,
    until_option,
)
from sidecar.cli.times import local_time
from sidecar.shared.api_json import instant_of

QUANTITY_MAX: Final = 1_000_000


@click.group(
    epilog=examples(
        "tallyd subscription show acme",
        "tallyd subscription change acme --plan pro --dry-run",
        "tallyd subscription change acme --plan basic --at period-end",
        "tallyd subscription pause acme --until +30d",
    ),
)
def command() -> None:
    """Show and change what a company has bought, now or later.

    Sidecars that are connected obey within a second; one without network obeys what was planned
    while it had one. What was changed here stays when a file is applied, unless that takes it over.

    TIME is RFC 3339 with an offset, a date, tomorrow, fri, or a span from now such as +30d; days
    begin at midnight in the company's time zone, as in catalog files.
    """


@command.command()
@company_argument
@history_option
@call_options
def show(call: Call, history: bool) -> None:
    """Show COMPANY's subscription and its timeline."""
    show_company(call, history=history)


@command.command()
@company_argument
@click.option(
    "--plan",
    required=True,
    metavar="KEY",
    shell_complete=complete_plan,
    help="The plan to change to.",
)
@click.option("--reset-usage", is_flag=True, help="Start every counter again from 0.")
@move_anchor_option
@click.option("--renew", is_flag=True, help="Renew a subscription that is over.")
@at_option
@planned_option
@change_options
def change(
    call: Call, plan: str, reset_usage: bool, move_anchor: bool, renew: bool, when: ChangeInstant
) -> None:
    """Change COMPANY to another plan, or begin a subscription where it has none.

    Counters stay unless --reset-usage is given: what is used up stays used up. Where a plan or a
    cancellation was planned before, say with --planned what becomes of that.

    A trial goes on, and what follows it follows; `trial end` ends it.
    """
    wanted = control_pb2.ChangePlan(
        plan=plan, reset_usage=reset_usage, move_anchor=move_anchor, renew=renew
    )
    send(call, f"plan {plan}", when, plan=wanted)


@command.command("add-on")
@company_argument
@click.argument("key", shell_complete=complete_add_on)
@click.argument("quantity", type=click.IntRange(0, QUANTITY_MAX))
@at_option
@planned_option
@change_options
def add_on(call: Call, key: str, quantity: int, when: ChangeInstant) -> None:
    """Set how many of the add-on KEY COMPANY holds; 0 for none."""
    told = f"add-on {key} x {output.number(quantity)}" if quantity else f"no add-on {key}"
    send(call, told, when, add_on=control_pb2.SetAddOn(add_on=key, quantity=quantity))


@command.command()
@company_argument
@until_option("--until", "Resume then; left out: when it is resumed.")
@move_anchor_option
@at_option
@planned_option
@change_options
def pause(call: Call, until: Timestamp | None, move_anchor: bool, when: ChangeInstant) -> None:
    """Pause COMPANY: metered features are denied."""
    wanted = control_pb2.PauseSubscription(resumes_at=until, move_anchor=move_anchor)
    send(call, "paused" + _until(until), when, pause=wanted)


@command.command()
@company_argument
@move_anchor_option
@at_option
@planned_option
@change_options
def resume(call: Call, move_anchor: bool, when: ChangeInstant) -> None:
    """End a pause of COMPANY's subscription."""
    wanted = control_pb2.ResumeSubscription(move_anchor=move_anchor)
    send(call, "resumed", when, resume=wanted)


@command.command()
@company_argument
@at_option
@change_options
def cancel(call: Call, when: ChangeInstant) -> None:
    """Cancel COMPANY's subscription: all is denied."""
    send(call, "canceled", when, cancel=control_pb2.CancelSubscription())


@command.command()
@company_argument
@until_option("--until", "End of the new term; left out: it renews by itself.")
@move_anchor_option
@change_options
def renew(call: Call, until: Timestamp | None, move_anchor: bool) -> None:
    """Renew COMPANY's subscription.

    Takes back a cancellation and an end of the term, past or planned, and a trial that has ended:
    what was bought is paid for from now on. A trial that runs goes on; `trial end` ends it.
    """
    wanted = control_pb2.RenewSubscription(ends_at=until, move_anchor=move_anchor)
    send(call, "renewed" + _until(until), renew=wanted)


@command.group(
    epilog=examples(
        "tallyd subscription trial extend acme --until +7d",
        "tallyd subscription trial end acme",
    )
)
def trial() -> None:
    """Change the trial of a company."""


@trial.command("extend")
@company_argument
@until_option("--until", "The trial's new end.", required=True)
@change_options
def extend_trial(call: Call, until: Timestamp) -> None:
    """Let the trial of COMPANY end later.

    One that has ended goes on, if that is less than 30 days ago. What was planned for the instant
    of its old end moves along.
    """
    wanted = control_pb2.ExtendTrial(ends_at=until)
    send(call, "trial" + _until(until), extend_trial=wanted)


@trial.command("end")
@company_argument
@change_options
def end_trial(call: Call) -> None:
    """End the trial of COMPANY now, as bought: it is paid for from now on.

    What is planned stays, a cancellation too.
    """
    send(call, "trial ended now, as bought", end_trial=control_pb2.EndTrial())


@command.command("past-due")
@company_argument
@until_option("--grace-until", "End of the grace; left out: the plan's grace, if it has one.")
@click.option(
    "--then", "plan", metavar="PLAN", help="The plan after it; left out: everything is denied."
)
@change_options
def past_due(call: Call, until: Timestamp | None, plan: str | None) -> None:
    """Say that a payment of COMPANY is late."""
    if plan is not None and until is None:
        raise click.UsageError("--then needs --grace-until")
    told = "past due" + (f", grace{_until(until)}" if until else "")
    late = control_pb2.MarkPastDue(grace_ends_at=until, grace_end_plan=plan or "")
    send(call, told, past_due=late)


@command.command()
@company_argument
@change_options
def paid(call: Call) -> None:
    """Say that the late payment of COMPANY has come."""
    send(call, "paid", paid=control_pb2.MarkPaid())


@command.command("reset-usage")
@company_argument
@at_option
@planned_option
@change_options
def reset_usage(call: Call, when: ChangeInstant) -> None:
    """Start every counter of COMPANY again from 0.

    What was carried over into the present window stays. The ledger stays as it is.
    """
    send(call, "usage reset", when, reset_usage=control_pb2.ResetUsage())


@command.command(
    "drop-planned",
    epilog=examples(
        "tallyd subscription drop-planned acme",
        'tallyd subscription drop-planned acme cancellation "add-on seats"',
        "tallyd subscription drop-planned acme plan --at 2027-01-31T00:00:00Z",
    ),
)
@company_argument
@click.argument("what", nargs=-1)
@until_option("--at", "Only what takes effect in this second.")
@change_options
def drop_planned(call: Call, what: tuple[str, ...], until: Timestamp | None) -> None:
    """Forget what is planned for COMPANY, or only WHAT of it.

    That is planned changes, a planned cancellation and a planned pause. WHAT is what
    `subscription show` says of it, or its first words: plan, "add-on seats", cancellation, pause.
    """
    wanted = control_pb2.DropPlannedChanges(what=what, at=until)
    send(call, "planned changes dropped", already="nothing is planned", drop_planned=wanted)


def _until(until: Timestamp | None) -> str:
    return "" if until is None else f" until {local_time(instant_of(until))}"
