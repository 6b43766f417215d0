"""Halting and cancelling by scope as plans: what is meant, checked before anything is locked."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from apps.core.errors import IllegalTransition, Invalid, PermissionRefused
from workers.engine.risk.scopes import HALTABLE, Scope, ScopeError, ScopeKind, Selection, parse_scope
from workers.engine.vocabulary import Side

SIDES: Final = tuple(side.name for side in Side)


def checked_scope(text: str) -> Scope:
    """A scope that can be halted; Invalid says what was expected."""
    try:
        return parse_scope(text, HALTABLE)
    except ScopeError as error:
        raise Invalid(str(error), scope=[str(error)]) from None


def checked_selection(given: dict[str, Any]) -> dict[str, Any]:
    """Which open orders to cancel, in canonical form: scope, symbol, strategy, side, one client id.

    Invalid names what is wrong.
    """
    scope, side = str(given.get("scope") or "firm"), str(given.get("side") or "")
    checked_scope(scope)
    if side and side not in SIDES:
        raise Invalid(f"expected BUY or SELL, was {side!r}", side=["expected BUY or SELL"])
    return {
        "scope": scope,
        "symbol": str(given.get("symbol") or ""),
        "strategy": str(given.get("strategy") or ""),
        "side": side,
        "client_id": str(given.get("client_id") or ""),
    }


def selection_of(stored: dict[str, Any]) -> Selection:
    """A stored selection as the engine takes it."""
    side = Side[stored["side"]] if stored.get("side") else None
    return Selection(
        scope=stored["scope"],
        symbol=stored["symbol"],
        strategy=stored["strategy"],
        side=side,
        client_id=stored.get("client_id", ""),
    )


def mode_of(scope: Scope, modes: dict[str, str]) -> str:
    """The mode whose rule on resuming holds: of the venue, else live as soon as one venue is live."""
    if scope.kind is ScopeKind.VENUE:
        return modes.get(scope.name, "live")
    return "live" if "live" in modes.values() else "paper"


def check_scope_approval(
    *, requested_at: datetime | None, expires_at: datetime | None, requester: str, approver: str, now: datetime
) -> None:
    """Raise unless ``approver`` may approve the wish to resume at ``now``."""
    if requested_at is None or expires_at is None:
        raise IllegalTransition("nobody asked to resume this scope", state="halted")
    if now >= expires_at:
        raise IllegalTransition(f"the request ran out of time at {expires_at.isoformat()}; ask anew", state="expired")
    if not approver or requester == approver:
        raise PermissionRefused("policy wants another person than the one who asked")
