"""How one order came to be and what became of it: numbers of its verdict, signal, costs and times. Pure.

The journal keeps a verdict in the engine's integers; here they are decimals with a name that a person reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from apps.core.money import plain
from workers.engine.instruments import from_atoms, from_money

STAGES: Final = ("receive", "decode", "book", "signal", "risk", "journal", "send")
"""In the order in which a market event becomes an order on the wire."""
MS_NS: Final = 1_000_000

_MONEY: Final = (
    ("notional", "Value of the order", "max_order_notional"),
    ("gross_after", "Gross exposure with it", "max_gross_notional"),
    ("need", "Cash it may take", None),
    ("free", "Cash that is free", None),
    ("day_pnl", "Result of the day", None),
    ("drawdown", "Drawdown", "max_drawdown"),
)
_SIGNAL_LABELS: Final = {
    "why": "Why",
    "mu": "Expected return",
    "sigma": "Expected deviation",
    "confidence": "Confidence",
    "weight": "Target weight",
}


def verdict_numbers(inputs: Mapping[str, Any], limits: Mapping[str, Any], symbol: str) -> list[dict[str, Any]]:
    """The numbers that the gate judged by, each with the limit that it was held against; null where none applies.

    ``inputs`` are the gate's own integers; what is not among them is left out. Amounts are in the quote asset,
    positions in the base asset.
    """
    found: list[dict[str, Any]] = []

    def tell(name: str, label: str, value: str, unit: str, limit: Any = None) -> None:
        found.append(
            {"name": name, "label": label, "value": value, "unit": unit, "limit": None if limit is None else str(limit)}
        )

    for name, label, limit in _MONEY:
        if _is_whole(inputs.get(name)):
            tell(name, label, plain(from_money(inputs[name])), "quote", limits.get(limit) if limit else None)
        if name == "day_pnl" and found and found[-1]["name"] == name and "max_daily_loss" in limits:
            found[-1]["limit"] = f"-{limits['max_daily_loss']}"
    if _is_whole(inputs.get("position")):
        held = limits.get("max_position", {}).get(symbol)
        tell("position", "Position before it", plain(from_atoms(inputs["position"])), "base", held)
    if _is_whole(inputs.get("open_orders")):
        tell("open_orders", "Open orders before it", str(inputs["open_orders"]), "", limits.get("max_open_orders"))
    if _is_whole(inputs.get("reference_age_ns")):
        age = plain(Decimal(inputs["reference_age_ns"]) / MS_NS)
        tell("reference_age", "Age of the market price", age, "ms", limits.get("reference_max_age_ms"))
    return found


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def signal_values(decision: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the strategy based the order on: its own notes, numbers and words, in its own order."""
    return [
        {"name": name, "label": _SIGNAL_LABELS.get(name, name.replace("_", " ").capitalize()), "value": value}
        for name, value in decision.items()
        if name not in ("risk", "target_lots") and isinstance(value, str | int | float)
    ]


def latency(stages: Mapping[str, int], timeline: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Nanoseconds by stage up to the wire, their total, and how long the venue took to answer; null when unknown."""
    known = [{"stage": stage, "ns": stages[stage]} for stage in STAGES if stage in stages]
    total = stages.get("total") or sum(stages[stage] for stage in STAGES if stage in stages)
    return {"stages": known, "total_ns": total if known else None, "venue_ns": _venue_ns(list(timeline))}


def _venue_ns(timeline: list[Mapping[str, Any]]) -> int | None:
    sent = next((index for index, step in enumerate(timeline) if step["what"] == "sent"), None)
    if sent is None or sent + 1 >= len(timeline):
        return None
    waited = datetime.fromisoformat(timeline[sent + 1]["at"]) - datetime.fromisoformat(timeline[sent]["at"])
    return round(waited.total_seconds() * 1_000_000) * 1000


def fees_by_asset(fees: Iterable[tuple[str, Decimal]]) -> list[dict[str, str]]:
    """Fees added up by the asset that they were charged in."""
    total: dict[str, Decimal] = defaultdict(Decimal)
    for asset, fee in fees:
        total[asset] += fee
    return [{"asset": asset, "amount": plain(amount)} for asset, amount in sorted(total.items())]
