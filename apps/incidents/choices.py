"""The closed sets of words in incidents."""

from __future__ import annotations

from django.db import models


class Kind(models.TextChoices):
    FEED_STALE = "feed_stale", "Market data stale"
    VENUE_UNREACHABLE = "venue_unreachable", "Venue unreachable"
    WORKER_LOST = "worker_lost", "Process lost"
    LIMIT_BREACH = "limit_breach", "Risk limit reached"
    TRADING_HALTED = "trading_halted", "Trading halted"
    PROTECTION_LOST = "protection_lost", "Position without its stop"
    RECONCILIATION_BREAK = "reconciliation_break", "Books differ from the venue"
    AUDIT_VERIFICATION_FAILED = "audit_verification_failed", "Audit trail altered"
    PROCESS_RESTARTED = "process_restarted", "Process restarted"
    DEPLOYMENT_FAILED = "deployment_failed", "Deployment failed"
    REBALANCE_REFUSED = "rebalance_refused", "No new book found"
    REBALANCE_INCOMPLETE = "rebalance_incomplete", "Rebalance not done in full"
    REBALANCE_HELD_UP = "rebalance_held_up", "Rebalance does not go on"


class Severity(models.TextChoices):
    CRITICAL = "critical", "Critical"
    WARNING = "warning", "Warning"
    INFO = "info", "Info"


class State(models.TextChoices):
    TRIGGERED = "triggered", "Triggered"
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    RESOLVED = "resolved", "Resolved"
