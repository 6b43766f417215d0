"""Public rows of halts by scope: the API's answers and the outbox's messages alike."""

from __future__ import annotations

from typing import Any

from apps.trading.models import CancelOrder, ScopeControl, ScopeHalt
from apps.trading.rows import stamp


def scope_key(scope: str) -> str:
    """Key of a scope's row in topic ``halts``, beside the venues' own."""
    return f"scope:{scope}"


def scope_row(control: ScopeControl) -> dict[str, Any]:
    """One scope; topic ``halts``, key ``scope:<scope>``."""
    return {
        "object": "scope",
        "scope": control.scope,
        "halted": control.halted,
        "version": control.version,
        "reason": control.reason,
        "by": control.by,
        "changed_at": stamp(control.changed_at),
    }


def scope_halt_row(halt: ScopeHalt) -> dict[str, Any]:
    """One halt of a scope, open while ``resumed_at`` is null."""
    return {
        "id": str(halt.id),
        "scope": halt.control_id,
        "reason": halt.reason,
        "halted_by": halt.halted_by,
        "halted_at": stamp(halt.halted_at),
        "automatic": halt.automatic,
        "version": halt.version,
        "effective_at": stamp(halt.effective_at),
        "requested_by": halt.requested_by_name,
        "requested_at": stamp(halt.requested_at),
        "request_reason": halt.request_reason,
        "request_expires_at": stamp(halt.request_expires_at),
        "resumed_by": halt.resumed_by,
        "approved_by": halt.approved_by_name,
        "resumed_at": stamp(halt.resumed_at),
        "resume_reason": halt.resume_reason,
    }


def cancel_row(order: CancelOrder) -> dict[str, Any]:
    """One order to cancel a part."""
    return {
        "id": order.pk,
        "venue": order.venue_id,
        "selection": order.selection,
        "reason": order.reason,
        "by": order.by,
        "at": stamp(order.at),
    }
