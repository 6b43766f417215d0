"""Misbehaviour on command, for fault tests. Fields are budgets, delays or sizes; zero is good behaviour."""

from __future__ import annotations

import msgspec


class Faults(msgspec.Struct, forbid_unknown_fields=True):
    """What the venue does wrong at present; a POST to ``/_fault`` sets the fields that it names."""

    order_ack_delay_ms: int = 0
    order_500_after_accept: int = 0
    reject_orders: int = 0
    lose_ack: int = 0
    duplicate_reports: int = 0
    reorder_reports: int = 0
    """Groups of reports that are told after the next group."""
    pause_feed_ms: int = 0
    drop_websockets: bool = False
    spike_frames: int = 0
    """Tickers and trades that come ``spike_bps`` off."""
    spike_bps: int = 0
    outage_ms: int = 0
    """Every request is refused for so long, and websockets are cut and not let in; the market goes on meanwhile."""

    def spend(self, name: str) -> bool:
        """Use one of a budget up; False when there is none."""
        left = int(getattr(self, name))
        if left <= 0:
            return False
        setattr(self, name, left - 1)
        return True
