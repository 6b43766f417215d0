"""The risk page in a real browser: a report with all its parts, the next one coming live, a question, and old age."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from playwright.sync_api import expect

from apps.core.context import service_context
from apps.policies.domain.limits import default_limits
from apps.policies.services_publications import ensure_default_limits
from apps.trading.services import ensure_venue
from apps.trading.services.risk import record_report
from tests.factories.people import Person, make_person
from tests.support.browser import PHONE, Watched, put_live
from tests.support.risk import inputs
from workers.engine.risk.report import Inputs, Settings, assess

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SETTINGS = Settings(paths=200)
Visitor = Callable[..., Watched]


def keep(made: Inputs) -> None:
    record_report(
        service_context("risk"),
        inputs=made,
        settings=SETTINGS,
        report=assess(made, SETTINGS),
        equity=Decimal(100_000),
        snapshot=None,
    )


def at(moment: datetime, btc: str = "50000") -> Inputs:
    made = inputs(at=int(moment.timestamp()) * 1_000_000_000)
    first, *rest = made.holdings
    return msgspec.structs.replace(made, holdings=(msgspec.structs.replace(first, mark=Decimal(btc)), *rest))


@pytest.fixture
def ann(transactional_db: None) -> Person:
    ensure_venue(service_context("bootstrap"), name="paper", mode="paper", market="synthetic", label="for tests")
    return make_person("ann")


def test_a_report_shows_every_part_and_breaks_no_rule(ann: Person, visitor: Visitor) -> None:
    now = datetime.now(UTC)
    keep(at(now - timedelta(seconds=90)))
    keep(at(now - timedelta(seconds=30), btc="47000"))
    watched = visitor(ann)
    watched.visit("/risk/")
    page = watched.page
    stress = page.locator("#stress")
    expect(stress.get_by_role("row", name="Correlations of one")).to_contain_text("▼")
    expect(stress.get_by_role("row", name="March 2020")).to_contain_text("no data")
    expect(page.locator("#var-methods").get_by_role("row", name="EWMA (limits use it)")).to_be_visible()
    expect(page.locator("#exposure").get_by_role("row", name="ETHUSDT")).to_be_visible()
    expect(page.locator('[data-kpi="breaches"] .kpi-value')).to_have_text("1")
    expect(page.locator("#breach-chart-summary")).to_contain_text("; 1 breach.")
    assert watched.axe() == []
    phone = visitor(ann, viewport=PHONE, has_touch=True, is_mobile=True)
    phone.visit("/risk/")
    expect(phone.page.locator("#stress").get_by_role("row", name="Correlations of one")).to_be_visible()
    assert phone.overflow() == []
    assert phone.axe() == []


def use(scope: str, limit: str, used: str | None, most: str) -> dict[str, Any]:
    fraction = None if used is None else float(Decimal(used) / Decimal(most))
    return {"scope": scope, "limit": limit, "used": used, "most": most, "fraction": fraction}


def test_the_use_of_limits_by_desk_and_strategy_is_shown_as_the_gate_counts_it(ann: Person, visitor: Visitor) -> None:
    scopes = {
        "desk:alpha": {"max_gross_notional": "50000", "max_drawdown": "900", "max_open_orders": 4},
        "strategy:ema_cross": {"max_gross_notional": "30000", "max_order_notional": "9000"},
    }
    limits = {**default_limits(), "desks": {"alpha": ["ema_cross"]}, "scopes": scopes}
    ensure_default_limits(service_context("bootstrap"), overrides=limits)
    told = [
        use("desk:alpha", "max_gross_notional", "47500", "50000"),
        use("desk:alpha", "max_open_orders", "3", "4"),
        use("desk:alpha", "max_drawdown", None, "900"),
        use("strategy:ema_cross", "max_gross_notional", "12000.5", "30000"),
    ]
    whole = {"used": "1200", "limit": "60000", "fraction": 0.02}
    names = ("gross", "daily_loss", "drawdown", "open_orders")
    now = int(datetime.now(UTC).timestamp() * 1000)
    row = {"venue": "paper", "limits_version": 1, "limits_fresh": True, "reconciled": True, "venues": {}, "denied": {}}
    put_live(
        "risk", "paper", {**row, "at_ms": now, "use": {**dict.fromkeys(names, whole), "positions": {}, "scopes": told}}
    )
    watched = visitor(ann)
    page = watched.visit("/risk/")
    box = page.locator("#limits .scope-list")
    expect(box.locator(".scope-name").first).to_have_text("desk alpha")
    expect(box).to_contain_text("47,500.00 / 50,000")
    expect(box).to_contain_text("not known / 900")
    assert watched.axe() == []
    table = watched.visit("/limits/").locator("#limit-scopes")
    expect(table.get_by_role("row", name="desk:alpha Max gross notional")).to_contain_text("95 %")
    expect(table.get_by_role("row", name="strategy:ema_cross Max order notional")).to_contain_text("each order")
    assert watched.axe() == []
    phone = visitor(ann, viewport=PHONE, has_touch=True, is_mobile=True)
    phone.visit("/risk/")
    expect(phone.page.locator("#limits .scope-list")).to_contain_text("12,000.50 / 30,000")
    assert phone.overflow() == []


def test_the_next_report_comes_by_itself_and_an_old_one_is_called_late(
    ann: Person, visitor: Visitor, relay: None
) -> None:
    now = datetime.now(UTC)
    keep(at(now - timedelta(minutes=20)))
    watched = visitor(ann)
    watched.visit("/risk/")
    note = watched.page.locator('[data-kpi="age"] .kpi-note')
    expect(note).to_contain_text("late: is the control worker up?")
    expect(watched.page.locator("#var-methods")).to_contain_text("This report is 20 min old.")
    keep(at(now))
    expect(note).to_contain_text("UTC")


def test_a_question_says_what_would_change_and_that_the_gate_is_silent(ann: Person, visitor: Visitor) -> None:
    keep(at(datetime.now(UTC)))
    watched = visitor(ann)
    watched.visit("/risk/")
    box = watched.page.locator("#what-if")
    ask = box.get_by_role("button", name="Show what would change")
    ask.click()
    expect(box).to_contain_text("Enter a quantity first.")
    box.get_by_label("Quantity").fill("0.5")
    box.get_by_label("Price").fill("49000")
    ask.click()
    expect(box).to_contain_text("The gate did not answer")
    expect(box.get_by_role("row", name="Value at risk")).to_contain_text("▲")
    assert watched.axe() == []
    watched.refusals = (400,)
    box.get_by_label("Quantity").fill("much")
    ask.click()
    expect(box).to_contain_text("No answer")
