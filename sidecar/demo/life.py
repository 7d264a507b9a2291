"""The demo's second part: a subscription's life, each change with the decisions that follow it."""

from __future__ import annotations

from collections import Counter
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.cli import output
from sidecar.cli.servers import connect
from sidecar.demo.asks import Ask, play
from sidecar.demo.ledger import heading
from sidecar.demo.system import CALL_S_MAX, SETTLE_S_MAX, System, wait_until
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us

_TRIAL_US: Final = 1_500_000

_Change = control_pb2.ChangeSubscriptionRequest


def tell(system: System) -> Counter[str]:
    """Change subscriptions and show what comes of it; what was counted, by feature."""
    with connect("control", system.control) as plane, connect("sidecar", system.sidecar) as door:
        life = _Life(
            system,
            control_pb2_grpc.ControlServiceStub(plane),
            enforcement_pb2_grpc.EnforcementServiceStub(door),
        )
        life.upgrade()
        life.add_on()
        life.pause()
        life.trial_end()
        life.rate()
    return life.counted


class _Life:
    """The two servers, and what was counted so far."""

    def __init__(
        self,
        system: System,
        control: control_pb2_grpc.ControlServiceStub,
        sidecar: enforcement_pb2_grpc.EnforcementServiceStub,
    ) -> None:
        self.counted: Counter[str] = Counter()
        self._system = system
        self._control = control
        self._sidecar = sidecar

    def upgrade(self) -> None:
        """A company buys a greater plan: its usage stays, and the new limit holds at once."""
        heading("An upgrade: globex has used its 3 exports up, and buys the team plan")
        self._play(Ask("globex", "exports", reason="LIMIT_EXCEEDED"))
        self._change(_Change(company="globex", plan=control_pb2.ChangePlan(plan="team")))
        output.print_line("globex: plan free -> team, now; usage stays")
        self._play(Ask("globex", "exports", 5), Ask("globex", "sso", counts=False))

    def add_on(self) -> None:
        """An add-on raises the limit of the plan."""
        heading("An add-on: two packs of 50 exports on top of the plan's 100")
        self._play(Ask("globex", "exports", 150, counts=False, reason="LIMIT_EXCEEDED"))
        packs = control_pb2.SetAddOn(add_on="export_pack", quantity=2)
        self._change(_Change(company="globex", add_on=packs))
        output.print_line("globex: add-on export_pack, 2 of it, now")
        self._play(Ask("globex", "exports", 150))

    def pause(self) -> None:
        """A pause denies what is metered, and leaves the rest; its end gives it back."""
        heading("A pause: what is metered is denied until the subscription is resumed")
        self._change(_Change(company="umbrella", pause=control_pb2.PauseSubscription()))
        output.print_line("umbrella: paused, now")
        self._play(
            Ask("umbrella", "exports", reason="SUBSCRIPTION_PAUSED"),
            Ask("umbrella", "sso", counts=False),
        )
        self._change(_Change(company="umbrella", resume=control_pb2.ResumeSubscription()))
        output.print_line("umbrella: resumed, now")
        self._play(Ask("umbrella", "exports"))

    def trial_end(self) -> None:
        """A trial ends by the clock: the sidecar has known the instant all along."""
        heading("The end of a trial: the sidecar switches by itself, on the second")
        began_us = wall_us()
        trial = catalog_pb2.Company(
            id="stark",
            subscription=catalog_pb2.Subscription(
                plan="team",
                anchor=timestamp(began_us),
                trial_ends_at=timestamp(began_us + _TRIAL_US),
            ),
        )
        applied = self._control.Apply(
            control_pb2.ApplyRequest(companies=[trial]), timeout=CALL_S_MAX
        )
        self._system.wait_for_revision(applied.revision)
        output.print_line("stark: on trial for a second and a half")
        # Of the moment at which it began: on a busy machine, it may be over by now.
        self._play(Ask("stark", "exports"), event_us=began_us)
        wait_until(self._trial_has_ended, "the trial of stark did not end", SETTLE_S_MAX)
        output.print_line("no message came meanwhile, and the trial is over")
        self._play(Ask("stark", "exports", reason="TRIAL_ENDED"))

    def _trial_has_ended(self) -> bool:
        question = api.CheckRequest(company="stark", feature="exports")
        answer = self._sidecar.Check(question, timeout=CALL_S_MAX)
        return answer.decision.reason == api.REASON_TRIAL_ENDED

    def rate(self) -> None:
        """A rate beside the limits: a burst passes, more has to wait."""
        heading("A rate: 20 messages at once, then one every three seconds")
        self._play(
            Ask("acme", "messages", 20),
            Ask("acme", "messages", 5, reason="RATE_LIMITED"),
        )

    def _change(self, request: control_pb2.ChangeSubscriptionRequest) -> None:
        answer = self._control.ChangeSubscription(request, timeout=CALL_S_MAX)
        self._system.wait_for_revision(answer.revision)

    def _play(self, *asks: Ask, event_us: int | None = None) -> None:
        at_us = wall_us() if event_us is None else event_us
        self.counted.update(play(self._sidecar, asks, at_us))
