"""API tokens for programs: shown once, kept as a hash, limited by scope and time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from hmac import compare_digest
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from knox.crypto import hash_token
from knox.models import get_digest_token
from knox.settings import CONSTANTS

from apps.accounts.domain.roles import Capability
from apps.accounts.models import ApiToken
from apps.accounts.permissions import allowed, capabilities, require
from apps.audit.services import record
from apps.core.context import Context
from apps.core.errors import Invalid, NotFound

PREFIX: Final = "gekko_"
LONGEST: Final = timedelta(days=365)
USED_EVERY: Final = timedelta(seconds=60)
FORBIDDEN: Final = frozenset({Capability.USERS_MANAGE, Capability.TOKENS_MANAGE})
"""A token can neither make people nor further tokens."""


def issue_token(ctx: Context, *, name: str, scopes: Iterable[str], lifetime: timedelta) -> tuple[ApiToken, str]:
    """A token for oneself and its value, which is shown once. Needs TOKENS_MANAGE and what the scopes name.

    Raises Invalid for an empty name, unknown or foreign scopes or a lifetime outside (0, 365 days].
    """
    require(ctx, Capability.TOKENS_MANAGE, object_type="token", object_id=name)
    user = ctx.actor.user
    if user is None:
        raise Invalid("only a person can own a token")
    if not name.strip():
        raise Invalid("give the token a name that says what uses it", field="name")
    if not timedelta(0) < lifetime <= LONGEST:
        raise Invalid(f"expected a lifetime of up to {LONGEST.days} days, was {lifetime}", field="lifetime")
    wanted = _scopes(ctx, scopes)
    digest, value = get_digest_token(PREFIX)
    with transaction.atomic():
        token = ApiToken(
            digest=digest,
            token_key=value[: CONSTANTS.TOKEN_KEY_LENGTH],
            user=user,
            name=name.strip()[:64],
            scopes=wanted,
            created_at=ctx.now(),
            expiry=ctx.now() + lifetime,
        )
        token.save(force_insert=True)
        record(
            ctx,
            event="accounts.token.issued",
            object_type="token",
            object_id=str(token.public_id),
            after={"name": token.name, "scopes": wanted, "expires_at": token.expiry},
        )
    return token, value


def _scopes(ctx: Context, scopes: Iterable[str]) -> list[str]:
    wanted = sorted(set(scopes))
    mine = {capability.value for capability in capabilities(ctx) - FORBIDDEN}
    foreign = [scope for scope in wanted if scope not in mine]
    if foreign or not wanted:
        raise Invalid(f"expected scopes among {sorted(mine)}, was {foreign or 'none'}", field="scopes")
    return wanted


def revoke_token(ctx: Context, *, token_id: UUID | str) -> None:
    """End a token: one's own, or anybody's with USERS_MANAGE. It stays listed as revoked."""
    with transaction.atomic():
        token = ApiToken.objects.select_for_update().filter(public_id=token_id).first()
        mine = token is not None and ctx.actor.user is not None and token.user_id == ctx.actor.user.pk
        if not (mine and allowed(ctx, Capability.TOKENS_MANAGE)):
            require(ctx, Capability.USERS_MANAGE, object_type="token", object_id=str(token_id))
        if token is None:
            raise NotFound(f"no token {token_id}")
        if token.revoked_at is None:
            token.revoked_at = ctx.now()
            token.save(update_fields=["revoked_at"])
            record(
                ctx,
                event="accounts.token.revoked",
                object_type="token",
                object_id=str(token.public_id),
                after={"name": token.name},
            )


def find_token(ctx: Context, *, value: str) -> ApiToken | None:
    """The live token of ``value``; None when it is unknown, expired, revoked or its owner's account is closed."""
    digest = hash_token(value)
    found: QuerySet[ApiToken] = ApiToken.objects.select_related("user").filter(
        token_key=value[: CONSTANTS.TOKEN_KEY_LENGTH]
    )
    for token in found:
        if not compare_digest(digest, token.digest):
            continue
        expired = token.expiry is None or ctx.now() >= token.expiry
        if expired or token.revoked_at is not None or not token.user.is_active:
            return None
        if token.last_used_at is None or ctx.now() - token.last_used_at >= USED_EVERY:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=ctx.now())
        return token
    return None
