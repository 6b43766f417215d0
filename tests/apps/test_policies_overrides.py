"""Leave to exceed a limit: two people, signed, temporary, listed; and the optional limits that may be published."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.domain.roles import Role
from apps.accounts.services import stepup
from apps.audit.models import AuditEntry
from apps.audit.services.keys import signing_key
from apps.core.clock import FrozenClock
from apps.core.context import ActorKind, service_context
from apps.core.errors import IllegalTransition, Invalid, PermissionRefused
from apps.core.models import OutboxMessage
from apps.policies import models, selectors
from apps.policies import services_overrides as services
from apps.policies.domain.limits import checked, default_limits, described
from apps.policies.domain.optional_limits import OPTIONAL
from apps.policies.domain.overrides import override_digest
from apps.policies.domain.signatures import is_override_signed
from apps.streaming.topics import TOPICS
from apps.trading import services as trading
from tests.factories import journal
from tests.factories.journal import BTC
from tests.factories.people import Person, make_person, signed_in
from workers.engine.risk.limits import parse_limits
from workers.engine.risk.optional_limits import NAMES
from workers.engine.risk.overrides import parse_override

COMPLETE: dict[str, Any] = {
    "effective_from": "2026-01-31T01:00:00+01:00",
    "expires_at": "2027-01-31T00:00:00Z",
    "restricted_venues": ["real"],
    "allow_market_orders": False,
    "self_trade_prevention": True,
    "max_spread_bps": 30,
    "min_cash": "1000.0",
    "max_net_notional": "50000",
    "max_leverage": "1.5",
    "max_concentration_bps": 4000,
    "max_currency_notional": {"BTC": "20000"},
    "max_venue_notional": {"paper": "40000"},
    "max_orders_per_day": 500,
    "max_turnover_per_day": "200000",
    "max_repeated_executions": 30,
    "repeated_execution_window_s": 60,
    "max_order_volume_bps": 500,
    "max_participation_bps": 1000,
    "volume_window_s": 300,
    "max_var": "1500",
    "var_confidence": "0.99",
    "var_horizon_s": 86400,
    "var_max_age_s": 3600,
    "desks": {"alpha": ["ema_cross", "forecast_portfolio"]},
    "scopes": {"desk:alpha": {"max_gross_notional": "30000", "max_open_orders": 4, "max_drawdown": "500"}},
}


def wish(who: Person, **changes: Any) -> models.LimitOverride:
    ctx = who.context()
    fields = {"scope": "account", "code": "NOTIONAL_ABOVE_LIMIT", "amount": "15000.0", "reason": "quarter's end"}
    return services.request_override(ctx, **{**fields, "until": ctx.now() + timedelta(hours=1), **changes})


def approved(who: Person, override_id: UUID, clock: Any = None) -> models.LimitOverride:
    ctx = who.context()
    grant = stepup.grant(ctx, code=who.fresh_code(), action="policies.override", object_id=str(override_id))
    return services.approve_override(ctx, override_id=override_id, grant=grant.pk)


@pytest.mark.django_db
def test_another_person_gives_leave_and_it_is_signed_for_the_gate() -> None:
    ann, rita = make_person("ann", Role.OPERATOR), make_person("rita", Role.RISK_OFFICER)
    row = wish(ann)
    now = row.requested_at
    assert selectors.active_overrides(now) == []
    approved(rita, row.pk)
    held = selectors.active_overrides(now)
    assert [(leave["amount"], leave["code"]) for leave in held] == [("15000", "NOTIONAL_ABOVE_LIMIT")]
    key = signing_key().public_key().public_bytes_raw()
    assert override_digest(held[0]) == held[0]["digest"]
    assert is_override_signed(key, held[0]["id"], held[0]["digest"], held[0]["signature"])
    assert not is_override_signed(key, held[0]["id"], "0" * 64, held[0]["signature"])
    assert override_digest({**held[0], "amount": "99999"}) != held[0]["digest"]
    assert parse_override(held[0], [BTC]).amount == 15_000 * 10**16
    entry = AuditEntry.objects.get(event="policies.override.approved")
    assert (entry.actor_name, entry.mfa, entry.reason) == ("rita", "step_up", "quarter's end")
    message = OutboxMessage.objects.filter(topic="policies").latest("id")
    assert dict(TOPICS["policies"].snapshot())[message.key] == message.data
    late = row.until
    assert selectors.active_overrides(late) == []
    assert services.expire_overrides(service_context("incidents", clock=FrozenClock(late))) == 1
    row.refresh_from_db()
    assert row.state == "expired"


@pytest.mark.django_db
def test_nobody_gives_leave_to_oneself_not_even_by_sql() -> None:
    rita, rob = make_person("rita", Role.RISK_OFFICER), make_person("rob", Role.RISK_OFFICER)
    row = wish(rita)
    with pytest.raises(PermissionRefused, match="another person"), transaction.atomic():
        approved(rita, row.pk)
    for changes in ({"approved_by": rita.user}, {"state": "approved"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            models.LimitOverride.objects.filter(pk=row.pk).update(**changes)
    with pytest.raises(PermissionRefused), transaction.atomic():
        approved(make_person("op", Role.OPERATOR), row.pk)
    approved(rob, row.pk)
    with pytest.raises(IllegalTransition, match="approved already"), transaction.atomic():
        approved(rob, row.pk)


@pytest.mark.django_db
def test_leave_is_refused_withdrawn_and_taken_back() -> None:
    ann, rita = make_person("ann", Role.OPERATOR), make_person("rita", Role.RISK_OFFICER)
    mine, refused, given = wish(ann), wish(ann), wish(ann)
    assert services.reject_override(ann.context(), override_id=mine.pk).state == "rejected"
    assert services.reject_override(rita.context(), override_id=refused.pk).decided_by_name == "rita"
    with pytest.raises(IllegalTransition, match="nothing to take back"), transaction.atomic():
        services.revoke_override(ann.context(), override_id=given.pk)
    approved(rita, given.pk)
    assert services.revoke_override(ann.context(), override_id=given.pk).ended_by_name == "ann"
    assert selectors.active_overrides(given.requested_at) == []
    models.LimitOverride.objects.filter(pk=mine.pk).update(
        state="pending", requested_at=mine.requested_at - timedelta(hours=2)
    )
    with pytest.raises(IllegalTransition, match="out of time"), transaction.atomic():
        approved(rita, mine.pk)
    assert services.expire_overrides(ann.context()) == 1


@pytest.mark.django_db
def test_to_have_asked_is_not_enough_to_withdraw() -> None:
    ann = make_person("ann", Role.OPERATOR)
    row, ctx = wish(ann), ann.context()
    reading = replace(ctx, actor=replace(ctx.actor, kind=ActorKind.TOKEN, scopes=()))
    with pytest.raises(PermissionRefused), transaction.atomic():
        services.reject_override(reading, override_id=row.pk)
    row.refresh_from_db()
    assert row.state == "pending"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"code": "TRADING_HALTED"}, "code", "states, halts and losses never may"),
        ({"code": "DAILY_LOSS_EXCEEDED"}, "code", "never may"),
        ({"code": "STRATEGY_HALTED"}, "code", "never may"),
        ({"scope": "planet:mars"}, "scope", "expected one of firm"),
        ({"code": "POSITION_ABOVE_LIMIT"}, "scope", "expected instrument:<symbol>"),
        ({"amount": "much"}, "amount", "decimal number"),
        ({"amount": "-1"}, "amount", "more than 0"),
        ({"code": "OPEN_ORDERS_ABOVE_LIMIT", "amount": "1.5"}, "amount", "whole number"),
        ({"reason": " "}, "reason", "empty"),
    ],
)
def test_a_wrong_wish_is_named_with_its_field(changes: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        wish(make_person("ann", Role.OPERATOR), **changes)
    assert said in caught.value.fields[field][0]


@pytest.mark.django_db
def test_leave_is_temporary_and_only_a_persons() -> None:
    ann = make_person("ann", Role.OPERATOR)
    now = ann.context().now()
    for until in (now - timedelta(seconds=1), now + timedelta(hours=25)):
        with pytest.raises(Invalid, match="within 24 hours"), transaction.atomic():
            wish(ann, until=until)
    fields: dict[str, Any] = {"scope": "account", "code": "NOTIONAL_ABOVE_LIMIT", "amount": "1", "reason": "x"}
    until = now + timedelta(hours=1)
    with pytest.raises(PermissionRefused, match="only a person"), transaction.atomic():
        services.request_override(service_context("execution"), until=until, **fields)


@pytest.mark.django_db
def test_overrides_over_http() -> None:
    ann, rita = make_person("ann", Role.OPERATOR), make_person("rita", Role.RISK_OFFICER)
    browser, base = signed_in(ann), "/api/v1/policies/overrides/"
    until = (ann.context().now() + timedelta(hours=1)).isoformat()
    body = {"scope": "account", "code": "NOTIONAL_ABOVE_LIMIT", "amount": "15000", "until": until, "reason": "x"}
    made = browser.send(base, body)
    assert (made.status_code, made.json()["state"]) == (201, "pending"), made.content
    wrong = browser.send(base, {**body, "amount": "much"})
    assert (wrong.status_code, "decimal" in wrong.json()["detail"]) == (400, True)
    officer = signed_in(rita)
    assert officer.send(f"{base}{made.json()['id']}/approve/").status_code == 403
    step = {"code": rita.fresh_code(), "action": "policies.override", "object_id": made.json()["id"]}
    grant = officer.send("/api/v1/auth/step-up/", step).json()["grant"]
    given = officer.send(f"{base}{made.json()['id']}/approve/", {"grant": grant})
    assert (given.status_code, given.json()["decided_by"]) == (200, "rita"), given.content
    assert [row["id"] for row in browser.get(f"{base}?state=approved").json()["results"]] == [made.json()["id"]]
    ended = browser.send(f"{base}{made.json()['id']}/revoke/")
    assert (ended.status_code, ended.json()["state"]) == (200, "revoked")
    fields = browser.get("/api/v1/policies/limits/fields/").json()
    assert {field["name"] for field in fields if not field["required"]} == set(OPTIONAL)


def test_policies_and_engine_know_the_same_optional_limits() -> None:
    assert set(OPTIONAL) == NAMES == set(COMPLETE)
    good = checked({**default_limits(), **COMPLETE})
    assert (good["effective_from"], good["min_cash"]) == ("2026-01-31T00:00:00Z", "1000")
    assert checked(good) == good
    taken = parse_limits(1, good, [BTC]).optional
    assert taken is not None
    assert taken.scopes[0].max_drawdown == 500 * 10**16
    assert {field["name"] for field in described()} == set(good)
    assert all(field["text"].endswith(".") for field in described())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("effective_from", "tomorrow", "expected a time with its zone"),
        ("expires_at", "2026-01-31T00:00:00Z", "must be after effective_from"),
        ("allow_market_orders", "no", "true or false"),
        ("max_leverage", "0", "more than 0"),
        ("var_confidence", "1", "less than 1"),
        ("volume_window_s", 3601, "5 to 3600"),
        ("restricted_venues", "real", "list of names"),
        ("max_currency_notional", {"BTC": "0"}, "BTC: expected more than 0"),
        ("desks", {"alpha": "ema_cross"}, "list of names"),
        ("scopes", {"planet:mars": {"max_open_orders": 1}}, "expected one of firm"),
        ("scopes", {"firm": {"max_mood": 1}}, "firm.max_mood: expected one of"),
        ("scopes", {"venue:paper": {"max_daily_loss": "1"}}, "followed for firm, desk and strategy alone"),
        ("scopes", {"firm": {"max_open_orders": "many"}}, "firm.max_open_orders: expected a whole number"),
    ],
)
def test_a_wrong_optional_limit_is_named_with_its_field(name: str, value: Any, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        checked({**default_limits(), **COMPLETE, name: value})
    assert said in caught.value.fields[name][0]


@pytest.mark.django_db
def test_a_quantity_off_the_grid_of_a_venue_is_refused_where_the_instrument_is_known() -> None:
    trading.project(service_context("projector"), worker="w", records=journal.records(journal.opening()))
    who = make_person("ann", Role.OPERATOR)
    quantity = {"code": "QUANTITY_ABOVE_LIMIT", "scope": "instrument:BTCUSDT"}
    with (
        pytest.raises(Invalid, match=r"whole lots of 0\.00001 of BTCUSDT on paper, was 1\.000001"),
        transaction.atomic(),
    ):
        wish(who, **quantity, amount="1.000001")
    assert wish(who, **quantity, amount="1.00001").amount == "1.00001"
    assert wish(who, **{**quantity, "code": "POSITION_ABOVE_LIMIT"}, amount="1.000001").amount == "1.000001"
    assert wish(who, **{**quantity, "scope": "instrument:NOWHERE"}, amount="1.000001").amount == "1.000001"
