"""The methods of `EnforcementService` about levels: bytes go in, bytes come out.

As the methods that count (`enforcement.py`), which they share the way of a call with.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.requests import require_dimensions
from sidecar.domain.text import KNOWN_NAMES
from sidecar.engine.enforce import Replay
from sidecar.engine.level_calls import LevelAnswer
from sidecar.engine.level_query import LevelQueries
from sidecar.engine.levels import Levels
from sidecar.engine.needs import Needs
from sidecar.engine.runner import Runner
from sidecar.rpc import parse, response_messages
from sidecar.rpc.deciding import Observer
from sidecar.rpc.enforcement import EnforcementMethods, UnaryJob
from sidecar.rpc.level_messages import (
    ChangeRequest,
    encode_level_answer,
    encode_level_report,
    parse_change,
    parse_page,
)
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.host.context import CallContext, HostedCall
from sidecar.storage.transaction import Transaction


class LevelMethods:
    """Changes levels, and tells them. `now` gives microseconds by the plane's clock."""

    def __init__(
        self,
        levels: Levels,
        queries: LevelQueries,
        methods: EnforcementMethods,
        runner: Runner,
        snapshot_fetcher: SnapshotFetcher,
        observer: Observer,
        now: Callable[[], int],
    ) -> None:
        self.levels, self.observer, self.now = levels, observer, now
        self._queries = queries
        self._methods = methods
        self._runner = runner
        self._snapshot_fetcher = snapshot_fetcher

    def adjust_level(self, call: HostedCall) -> None:
        """More or less is in use."""
        self._runner.submit(_ChangeJob(self._methods, call, self, pb.AdjustLevelRequest))

    def set_level(self, call: HostedCall) -> None:
        """So much is in use."""
        self._runner.submit(_ChangeJob(self._methods, call, self, pb.SetLevelRequest))

    async def get_level(self, data: bytes, context: CallContext) -> bytes:
        """What is in use."""
        now_us = self.now()
        request = parse.parse_message(pb.GetLevelRequest, data)
        KNOWN_NAMES.require_identifier("company", request.company)
        KNOWN_NAMES.require_identifier("feature", request.feature)
        dimensions = dict(request.dimensions)
        require_dimensions("dimensions", dimensions)
        most, behind = parse_page(request)
        async with self._snapshot_fetcher.obtained(
            frozenset((request.company,)), now_us, context.time_remaining
        ):
            report = await self._runner.run(
                lambda: self._queries.level(
                    request.company, request.feature, dimensions, request.item, most, behind, now_us
                )
            )
        return encode_level_report(report)


class _ChangeJob(UnaryJob):
    __slots__ = ("_kind", "_levels", "_request")

    _request: ChangeRequest

    def __init__(
        self,
        methods: EnforcementMethods,
        call: HostedCall,
        levels: LevelMethods,
        kind: type[pb.AdjustLevelRequest | pb.SetLevelRequest],
    ) -> None:
        super().__init__(methods, call)
        self._levels, self._kind = levels, kind

    def step(self, transaction: Transaction) -> LevelAnswer | Replay | Needs:
        self._request = parse.parse_message(self._kind, self.call.message)
        now_us = self._levels.now()
        change = parse_change(self._request, now_us)
        return self._levels.levels.change(change, now_us, self.asked)

    def encoded(self, result: Any) -> bytes:
        took_ns = time.perf_counter_ns() - self.started_ns
        observer, request = self._levels.observer, self._request
        if isinstance(result, Replay):
            observer.decided(request.feature, True, Reason.ALLOWED, True, took_ns)
            return response_messages.replayed(result.kept)
        decision = result.decision
        observer.decided(request.feature, decision.allowed, decision.reason, False, took_ns)
        if result.basis.fallback:
            observer.fell_back(result.basis.fallback, decision.allowed)
        if decision.shadow_denials:
            observer.shadow_denied(request.feature, decision.shadow_denials)
        deciding = self.methods.deciding
        if result.changed and deciding.watched:
            deciding.touch(request)
        return result.kept or encode_level_answer(result)
