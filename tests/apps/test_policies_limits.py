"""Versions of the risk limits: what they may hold, who may publish them, and that one holds."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import transaction

from apps.accounts.domain.roles import Role
from apps.accounts.services import stepup
from apps.audit.models import AuditEntry
from apps.audit.services.keys import signing_key
from apps.core.context import service_context
from apps.core.errors import IllegalTransition, Invalid, PermissionRefused, StaleVersion, StepUpRequired
from apps.core.models import OutboxMessage
from apps.policies import models, selectors, services
from apps.policies import services_publications as publications
from apps.policies.domain.limits import FIELDS, checked, default_limits, digest
from apps.policies.domain.signatures import is_signed, signed_bytes
from tests.factories.journal import BTC, ETH
from tests.factories.people import Person, make_person
from workers.engine.risk.limits import parse_limits

SETUP = service_context("bootstrap")


def test_the_defaults_are_complete_and_canonical() -> None:
    limits = default_limits({"BTCUSDT": ("1", "2.50")})
    assert set(limits) == set(FIELDS)
    assert limits["max_position"] == {"BTCUSDT": "2.5"}
    assert checked(limits) == limits
    assert len(digest(limits)) == 64


def test_the_engine_takes_what_is_published_here() -> None:
    limits = default_limits({"BTCUSDT": ("1", "2.5")})
    taken = parse_limits(3, limits, [BTC, ETH])
    assert taken.digest == digest(limits)
    assert (taken.max_order_lots["BTCUSDT"], taken.max_position["BTCUSDT"]) == (100_000, 250_000_000)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max_order_notional", 10.5, "expected a decimal as text"),
        ("max_order_notional", "NaN", "expected a decimal as text"),
        ("max_order_notional", "abc", "expected a decimal as text"),
        ("max_daily_loss", "0", "more than 0"),
        ("max_drawdown", "-5", "more than 0"),
        ("max_drawdown", "0.000000001", "at most 8 decimals"),
        ("collar_bps", 0, "expected 1 to 5000, was 0"),
        ("collar_bps", True, "expected a whole number"),
        ("burst", "5", "expected a whole number"),
        ("target_gross_fraction", "1.5", "at most 1"),
        ("max_position", {"BTC USDT": "1"}, "expected a symbol"),
        ("max_position", {"BTCUSDT": "-1"}, "BTCUSDT: expected more than 0"),
        ("max_order_qty", [], "expected an object"),
        ("restricted", "BTCUSDT", "expected a list"),
        ("max_order_notional", "60001", "must not exceed max_gross_notional"),
        ("max_orders_per_minute", 3, "there is no such limit"),
    ],
)
def test_a_wrong_value_is_named_with_its_field(name: str, value: Any, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked({**default_limits(), name: value})
    assert said in caught.value.fields[name][0]
    assert name in caught.value.detail


def test_missing_fields_are_all_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        checked({})
    assert set(caught.value.fields) == set(FIELDS)


def holding() -> dict[str, Any]:
    active = selectors.active_limits()
    assert active is not None
    return active


def published(who: Person, number: int) -> models.RiskLimits:
    ctx = who.context()
    grant = stepup.grant(
        ctx,
        code=who.fresh_code(),
        action="policies.publish",
        object_id=f"{number}:{selectors.get_limits(number).digest}",
    )
    return publications.publish(ctx, number=number, grant=grant.pk)


@pytest.mark.django_db
def test_publishing_retires_what_held_and_is_audited_with_both() -> None:
    assert selectors.active_limits() is None
    assert publications.ensure_default_limits(SETUP).number == publications.ensure_default_limits(SETUP).number == 1
    risk = make_person("rita", Role.RISK_OFFICER)
    draft = services.create_draft(risk.context(), limits={**default_limits(), "collar_bps": 50}, note="tighter")
    assert (draft.number, draft.state) == (2, "draft")
    assert holding()["version"] == 1
    published(risk, 2)
    active = holding()
    assert (active["version"], active["limits"]["collar_bps"]) == (2, 50)
    assert selectors.get_limits(1).state == "retired"
    entry = AuditEntry.objects.filter(event="policies.limits.published").latest("seq")
    assert entry.before is not None
    assert entry.after is not None
    assert (entry.before["active"], entry.after["limits"]["collar_bps"], entry.mfa) == (1, 50, "step_up")
    kinds = OutboxMessage.objects.filter(topic="policies").order_by("id").values_list("kind", "key")
    assert list(kinds)[-2:] == [("limits.retired", "1"), ("limits.published", "2")]
    assert published(risk, 2).version == selectors.get_limits(2).version, "publishing again changes nothing"


@pytest.mark.django_db
def test_published_limits_are_signed(settings: Any) -> None:
    row = publications.ensure_default_limits(SETUP)
    public = signing_key().public_key().public_bytes_raw()
    assert is_signed(public, 1, row.digest, row.signature)
    assert not is_signed(public, 2, row.digest, row.signature)
    assert not is_signed(public, 1, "0" * 64, row.signature)
    assert not is_signed(public, 1, row.digest, "no hex")
    key = load_pem_private_key(settings.GEKKO_AUDIT_SIGNING_KEY.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    key.public_key().verify(bytes.fromhex(row.signature), signed_bytes(1, row.digest))


@pytest.mark.django_db
def test_only_drafts_change_and_only_as_they_were_seen() -> None:
    publications.ensure_default_limits(SETUP)
    with pytest.raises(IllegalTransition, match="make a new draft"), transaction.atomic():
        services.update_draft(SETUP, number=1, expected_version=2, limits=default_limits())
    draft = services.create_draft(SETUP, limits=default_limits())
    changed = services.update_draft(SETUP, number=2, expected_version=1, limits={**default_limits(), "burst": 9})
    assert (changed.version, changed.limits["burst"], changed.digest != draft.digest) == (2, 9, True)
    with pytest.raises(StaleVersion), transaction.atomic():
        services.update_draft(SETUP, number=2, expected_version=1, limits=default_limits())


@pytest.mark.django_db
def test_publishing_takes_the_role_and_a_fresh_code() -> None:
    services.create_draft(SETUP, limits=default_limits())
    for who, error in (
        (make_person("op", Role.OPERATOR), PermissionRefused),
        (make_person("ro", Role.RISK_OFFICER), StepUpRequired),
    ):
        with pytest.raises(error), transaction.atomic():
            publications.publish(who.context(), number=1, grant=None)
    assert selectors.active_limits() is None


@pytest.mark.django_db
def test_live_trading_is_never_resumed_by_one_person() -> None:
    assert (
        selectors.approvals_needed("trading.resume", "paper"),
        selectors.approvals_needed("trading.resume", "live"),
    ) == (1, 2)
    services.set_approval(SETUP, action="trading.resume", mode="paper", people=2)
    assert selectors.approvals_needed("trading.resume", "paper") == 2
    with pytest.raises(Invalid, match="expected 2 to 5 people"), transaction.atomic():
        services.set_approval(SETUP, action="trading.resume", mode="live", people=1)
    assert selectors.approvals_needed("something.new", "paper") == 2
