"""The topics of the live stream: who may hear each, how it is delivered, and what a client starts from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import redis
from django.conf import settings

from apps.accounts.permissions import Capability
from apps.deployments import selectors as deployments
from apps.fleet import public as fleet_rows
from apps.fleet import selectors as fleet
from apps.incidents import selectors as incidents
from apps.policies import rows as policy_rows
from apps.policies import selectors as policies
from apps.trading import selectors as trading
from apps.trading import selectors_backtests as trading_backtests
from apps.trading import selectors_parents as trading_parents
from apps.trading import selectors_rebalances as trading_rebalances
from apps.trading import selectors_risk as trading_risk

LAST: Final = "gekko:last:"
HEARTBEATS: Final = "gekko:heartbeat"
REVOCATIONS: Final = "sessions"
"""Heard by the hub alone; no client may subscribe to it."""

Rows = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Topic:
    """``snapshot`` gives the (key, row) pairs that a new client starts from.

    A lossless topic is replayed from the outbox by its sequence; a conflated one keeps the newest value per key.
    """

    name: str
    capability: Capability
    lossless: bool
    snapshot: Callable[[], Rows]


def _last_values(topic: str) -> Callable[[], Rows]:
    def snapshot() -> Rows:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
            stored = client.hgetall(LAST + topic)
        return [(key.decode(), json.loads(value)["data"]) for key, value in dict(stored).items()]

    return snapshot


def _heartbeats() -> Rows:
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as client:
        stored = client.hgetall(HEARTBEATS)
    return [(key.decode(), json.loads(value)) for key, value in dict(stored).items()]


def _trading(topic: str) -> Callable[[], Rows]:
    return lambda: trading.snapshot(topic, settings.GEKKO_VENUE_NAME)


def _policies() -> Rows:
    overrides = [(policy_rows.override_key(row), policy_rows.override_row(row)) for row in policies.overrides()[:50]]
    return overrides + [(str(row.number), policy_rows.limits_row(row)) for row in policies.newest_limits(20)]


def _fleet() -> Rows:
    nodes = [(str(row.pk), fleet_rows.node(row)) for row in fleet.nodes()]
    devices = [(str(row.pk), fleet_rows.device(row)) for row in fleet.devices()]
    models = [(row.digest, fleet_rows.model(row)) for row in fleet.models()]
    return [*nodes, *devices, *models]


_VIEW = Capability.TRADING_VIEW
TOPICS: Final[dict[str, Topic]] = {
    topic.name: topic
    for topic in (
        *(Topic(name, _VIEW, False, _last_values(name)) for name in ("pnl", "positions", "feed", "latency", "risk")),
        Topic("system", _VIEW, False, _heartbeats),
        *(Topic(name, _VIEW, True, _trading(name)) for name in ("orders", "fills", "halts")),
        Topic("parents", _VIEW, True, lambda: trading_parents.snapshot(settings.GEKKO_VENUE_NAME)),
        Topic("parent_progress", _VIEW, False, _last_values("parent_progress")),
        Topic("rebalances", _VIEW, True, lambda: trading_rebalances.snapshot(settings.GEKKO_VENUE_NAME)),
        Topic("risk_report", _VIEW, True, lambda: trading_risk.snapshot(settings.GEKKO_VENUE_NAME)),
        Topic("backtests", _VIEW, True, trading_backtests.snapshot),
        Topic("incidents", Capability.INCIDENT_VIEW, True, incidents.snapshot),
        Topic(
            "deployments",
            Capability.DEPLOY_VIEW,
            True,
            lambda: deployments.snapshot(settings.GEKKO_VENUE_NAME),
        ),
        Topic("policies", Capability.POLICY_VIEW, True, _policies),
        Topic("fleet", Capability.FLEET_VIEW, True, _fleet),
    )
}
