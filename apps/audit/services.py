"""Writing the audit trail. No audit row, no change."""

from __future__ import annotations

from typing import Any

from apps.core.context import Context


def record(
    ctx: Context,
    *,
    event: str,
    object_type: str,
    object_id: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    outcome: str = "success",
) -> None:
    """Append one entry inside the caller's transaction."""
