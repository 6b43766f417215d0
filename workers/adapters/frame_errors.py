"""Frames that cannot be taken as market data, and frames that never came."""

from __future__ import annotations

from workers.engine.market.quality import Rejection


class FrameError(ValueError):
    """A frame that cannot be taken as market data; ``symbol`` is empty when even that is unknown."""

    def __init__(self, reason: Rejection, symbol: str, detail: str) -> None:
        super().__init__(f"{reason} ({symbol or 'no symbol'}): {detail}")
        self.reason = reason
        self.symbol = symbol
        self.detail = detail


class SequenceGap(FrameError):
    """A message of the connection was lost: every book that it feeds is void."""

    def __init__(self, detail: str) -> None:
        super().__init__(Rejection.GAP, "", detail)
