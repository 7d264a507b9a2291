"""The method of `EnforcementService` that explains, without gRPC: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.entitlement.sources import Source
from sidecar.domain.slices import Slices
from sidecar.engine.explain import Explainer, Explanation
from sidecar.engine.query import Queries
from sidecar.engine.runner import Runner
from sidecar.engine.slicing import in_slices
from sidecar.rpc import parse, response_messages
from sidecar.rpc.queries import QueryMethods
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.convert.grants import grant_to_message
from sidecar.shared.convert.snapshot_messages import segment_to_message
from sidecar.shared.host.context import CallContext


class ExplainMethods(QueryMethods):
    """Answers questions, and explains. `now` gives microseconds by the plane's clock."""

    def __init__(
        self,
        explainer: Explainer,
        queries: Queries,
        runner: Runner,
        snapshot_fetcher: SnapshotFetcher,
        now: Callable[[], int],
    ) -> None:
        super().__init__(queries, runner, snapshot_fetcher, now)
        self._explainer = explainer

    async def explain_entitlement(self, data: bytes, context: CallContext) -> bytes:
        """How an entitlement came about, and what a check would be answered."""
        now_us = self._now()
        request = parse.parse_message(pb.ExplainEntitlementRequest, data)
        question = parse.parse_explanation(request, now_us)
        found = await self._snapshot_fetcher.run(
            lambda asked: self._explainer.explain(question, now_us, asked),
            now_us,
            context.time_remaining,
        )
        return (await in_slices(_explanation(found))).SerializeToString()


def _explanation(found: Explanation) -> Slices[pb.ExplainEntitlementResponse]:
    response = pb.ExplainEntitlementResponse(
        entitlement=response_messages.entitlement_to_message(found.entitlement),
        segment=segment_to_message(found.segment),
        other_limits=found.others,
    )
    for source in found.sources:
        response.sources.append(_source(source))
        for _ in range(_weight(source)):
            yield
    response_messages.fill_decision(response.decision, found.decision, found.basis)
    for usage in found.usages:
        response_messages.fill_limit_status(response.limits.add(), usage)
    return response


def _weight(source: Source) -> int:
    """How much there is to encode: limits and rates."""
    grants = [grant for grant in (source.grant, source.result) if grant is not None]
    return 1 + sum(len(grant.limits) + len(grant.rates) for grant in grants)


def _source(source: Source) -> pb.EntitlementSource:
    return pb.EntitlementSource(
        kind=pb.SourceKind.ValueType(source.kind),
        key=source.key,
        quantity=source.quantity,
        effect=pb.SourceEffect.ValueType(source.effect),
        grant=None if source.grant is None else grant_to_message(source.grant),
        result=None if source.result is None else grant_to_message(source.result),
    )
