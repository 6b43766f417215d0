"""Making releases."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Max

from apps.accounts.permissions import Capability, require
from apps.audit import services as audit
from apps.core.context import Context
from apps.core.errors import Invalid
from apps.deployments.domain.release import MINUTE_NS, Content, checked
from apps.deployments.domain.shares import plain_share
from apps.deployments.models import Release
from apps.policies.choices import LimitsState
from apps.policies.selectors import get_limits

_NUMBERS_LOCK: Final = 4_771_002


@transaction.atomic
def create_release(
    ctx: Context,
    *,
    strategy: str,
    params: dict[str, Any],
    model_digest: str,
    limits_version: int,
    instruments: list[str],
    interval_ns: int = MINUTE_NS,
    capital_share: Decimal | None = None,
    note: str = "",
) -> Release:
    """The release with this content; the same content again is the same release.

    Needs DEPLOY_START. Raises Invalid with a message per wrong field, NotFound for limits that do not exist.
    """
    require(ctx, Capability.DEPLOY_START, object_type="release", object_id="new")
    limits = get_limits(limits_version)
    if limits.state == LimitsState.DRAFT:
        raise Invalid(f"limits {limits_version} are a draft; publish them first", limits_version=["is a draft"])
    content = checked(
        Content(
            strategy=strategy,
            params=params,
            model_digest=model_digest,
            limits_version=limits_version,
            limits_digest=limits.digest,
            instruments=list(instruments),
            interval_ns=interval_ns,
            capital_share=None if capital_share is None else plain_share(capital_share),
        )
    )
    take_numbers_lock(_NUMBERS_LOCK)
    known = Release.objects.filter(digest=content.digest).first()
    if known is not None:
        return known
    release = Release.objects.create(
        number=(Release.objects.aggregate(top=Max("number"))["top"] or 0) + 1,
        config_hash=content.config_hash,
        digest=content.digest,
        note=note[:500],
        created_by=ctx.actor.name,
        created_at=ctx.now(),
        **{**asdict(content), "capital_share": capital_share},
    )
    audit.record(
        ctx,
        event="deployments.release.created",
        object_type="release",
        object_id=str(release.pk),
        after={"number": release.number, "digest": release.digest, **asdict(content)},
    )
    return release


def take_numbers_lock(name: int) -> None:
    """Serialise the giving of numbers until the end of the transaction, so that none is given twice or left out."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [name])
