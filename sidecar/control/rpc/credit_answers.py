"""What the service of credits answers: a function of the store, a request and the time, each.

They run in worker threads, reading and building of messages included.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import asdict

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import credits_pb2
from sidecar.control.rpc.request_validation import size_or
from sidecar.control.services import credit_balances, credit_grants
from sidecar.control.services.credit_accounts import SourceAccount
from sidecar.control.services.credit_sources import HeldSource
from sidecar.control.storage.credit_values import GrantPlace, StoredGrant
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import FOREVER_US, INT64_MAX, NAME_BYTES_MAX, saturated
from sidecar.domain.company.model import CompanyGrant
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import Window
from sidecar.shared.convert.credit_grants import credit_grant_to_message
from sidecar.shared.convert.times import optional_instant, optional_timestamp, timestamp
from sidecar.shared.page_tokens import bad_token, decode_place, encode_place

PAGE_MAX: Final = 1_000
PAGE_DEFAULT: Final = 100


def grant_credits(
    store: PlaneStore, request: credits_pb2.GrantCreditsRequest, now_us: int
) -> credits_pb2.GrantCreditsResponse:
    """Answer to GrantCredits."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    if not request.HasField("grant"):
        raise InvalidInput("grant", "must be set")
    given = _grant_of(request.grant, now_us)
    wanted = credit_grants.GrantWanted(
        company,
        given.feature,
        given.grant,
        reason_of(request.reason),
        starts_now=not request.grant.HasField("effective"),
    )
    try:
        done = credit_grants.grant_credits(store, wanted, now_us, dry_run=request.dry_run)
    except InvalidInput as error:
        raise InvalidInput(error.field.removesuffix("_us"), error.message, error.reason) from None
    return credits_pb2.GrantCreditsResponse(
        revision=done.revision,
        grant=_held(done.stored, done.account),
        changed=done.changed,
        repaid=done.repaid,
    )


def void_grant(
    store: PlaneStore, request: credits_pb2.VoidCreditGrantRequest, now_us: int
) -> tuple[credits_pb2.VoidCreditGrantResponse, list[tuple[str, CounterKey]]]:
    """Answer to VoidCreditGrant, and who is to give back what."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    id_ = KNOWN_NAMES.require_identifier("id", request.id)
    reason = reason_of(request.reason)
    done = credit_grants.void_grant(store, company, id_, reason, now_us, dry_run=request.dry_run)
    response = credits_pb2.VoidCreditGrantResponse(
        revision=done.revision,
        grant=_held(done.stored, done.account),
        changed=done.changed,
        complete=not done.account.leased,
    )
    return response, list(done.holders)


def list_grants(
    store: PlaneStore, request: credits_pb2.ListCreditGrantsRequest, now_us: int
) -> credits_pb2.ListCreditGrantsResponse:
    """Answer to ListCreditGrants."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    if request.feature:
        KNOWN_NAMES.require_identifier("feature", request.feature)
    size = size_or("page_size", request.page_size, PAGE_DEFAULT, PAGE_MAX)
    page, following = credit_grants.list_grants(
        store,
        company,
        request.feature,
        _place_of(request.page_token),
        size,
        now_us,
        with_over=request.with_over,
    )
    return credits_pb2.ListCreditGrantsResponse(
        grants=[_held(stored, account) for stored, account in page],
        next_page_token="" if following is None else encode_place(following),
    )


def get_balance(
    store: PlaneStore, request: credits_pb2.GetCreditBalanceRequest, now_us: int
) -> credits_pb2.GetCreditBalanceResponse:
    """Answer to GetCreditBalance."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    if request.feature:
        KNOWN_NAMES.require_identifier("feature", request.feature)
    balances = credit_balances.get_balances(store, company, request.feature, now_us)
    return credits_pb2.GetCreditBalanceResponse(balances=map(_balance, balances))


def reason_of(text: str) -> str:
    """A reason for people; raises `InvalidInput` for one that is too long."""
    if len(text.encode()) > NAME_BYTES_MAX:
        raise InvalidInput("reason", f"must be at most {NAME_BYTES_MAX} bytes")
    return text


def window_message(window: Window) -> catalog_pb2.WindowInstance:
    """A window as a message; without an end where it has none."""
    return catalog_pb2.WindowInstance(
        start=timestamp(window.start_us) if window.start_us > 0 else None,
        end=None if window.never_ends else timestamp(window.end_us),
    )


def _grant_of(message: catalog_pb2.CreditGrant, now_us: int) -> CompanyGrant:
    """The grant of a request, which may leave out id, kind, start and expiry."""
    KNOWN_NAMES.require_identifier("grant.feature", message.feature)
    kinds = {0: GrantKind.PROMOTIONAL, **{int(kind): kind for kind in GrantKind}}
    if message.kind not in kinds:
        raise InvalidInput("grant.kind", "must be one of PAID and PROMOTIONAL")
    effective_us = optional_instant(message, "effective", "grant")
    expires_us = optional_instant(message, "expires", "grant")
    grant = CreditGrant(
        message.id,
        message.amount,
        message.priority,
        kinds[message.kind],
        now_us if effective_us is None else effective_us,
        FOREVER_US if expires_us is None else expires_us,
    )
    return CompanyGrant(message.feature, grant)


def _held(stored: StoredGrant, account: SourceAccount) -> credits_pb2.HeldCreditGrant:
    return credits_pb2.HeldCreditGrant(
        grant=credit_grant_to_message(CompanyGrant(stored.feature, stored.grant)),
        account=_account(account),
        reason=stored.reason,
        granted_at=timestamp(stored.granted_us),
        voided_at=optional_timestamp(stored.voided_us),
        void_reason=stored.void_reason,
    )


def _account(account: SourceAccount) -> credits_pb2.CreditAccount:
    amounts = {name: saturated(amount) for name, amount in asdict(account).items()}
    return credits_pb2.CreditAccount(**amounts)


def _balance(found: credit_balances.FeatureBalance) -> credits_pb2.CreditBalance:
    return credits_pb2.CreditBalance(
        feature=found.feature,
        balance=saturated(found.balance),
        left=saturated(found.left),
        leased=saturated(found.leased),
        debt=found.debt,
        overdraft=found.overdraft,
        upcoming=saturated(found.upcoming),
        sources=map(_source, found.sources),
    )


def _source(held: HeldSource) -> credits_pb2.CreditSource:
    source, limit = held.source, held.source.limit
    return credits_pb2.CreditSource(
        grant="" if source.by_limit else limit.id,
        limit=limit.id if source.by_limit else "",
        window=window_message(source.counter.window),
        priority=limit.priority,
        kind=catalog_pb2.CreditKind.ValueType(limit.credit_kind),
        account=_account(held.account),
        in_force=held.in_force,
    )


def _place_of(token: str) -> GrantPlace | None:
    """The place that a token stands for; `None` for the start."""
    if not token:
        return None
    place = decode_place(token, GrantPlace)
    numbers = (place.priority, place.expires_us, place.effective_us)
    if not all(0 <= number <= INT64_MAX for number in numbers):
        raise bad_token()
    return place
