"""Liquidity that nobody shows: how much of it there is at a moment of the market, drawn under a seed.

The market's time is cut into slots. In each slot each side of each instrument holds an amount of the quote asset, which
depends on seed, instrument, side, the market's pass and the slot alone: the same moment always has the same amount,
whoever asks, and in whatever order. What is taken within a slot stays taken until the slot is over.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from workers.engine.execution.matching_latency import SplitMix64
from workers.engine.instruments import MONEY_PER_UNIT
from workers.engine.vocabulary import Side


class Moment(NamedTuple):
    """Time of a replayed market: which pass, counted from 1, and ns since the pass began."""

    number: int
    ns: int


class Draw(msgspec.Struct, frozen=True):
    """How the amounts are drawn: ``chance_pct`` percent of the slots have one, even between 0 and ``most``.

    ``most`` is in whole units of the quote asset, ``slot_ns`` the length of a slot.
    """

    seed: int
    chance_pct: int
    most: int
    slot_ns: int


class HiddenLiquidity:
    """Draws amounts, and remembers what was taken of those of the newest slot."""

    def __init__(self, draw: Draw) -> None:
        """ValueError when a slot has no length, or the chance is none."""
        if not (draw.slot_ns > 0 and 0 <= draw.chance_pct <= 100 and draw.most >= 0):
            raise ValueError(f"expected slot_ns > 0, chance_pct within 0..100 and most >= 0, was {draw}")
        self._draw = draw
        self._taken: dict[tuple[str, Side], tuple[Moment, int]] = {}

    def offered(self, symbol: str, side: Side, moment: Moment) -> int:
        """Money units that ``side`` holds in the slot of ``moment``, before anything was taken."""
        draw, slot = self._draw, self._slot(moment)
        name = f"{draw.seed}|{symbol}|{side:d}|{slot.number}|{slot.ns}".encode()
        random = SplitMix64(int.from_bytes(hashlib.blake2b(name, digest_size=8).digest()))
        if random.bits() % 100 >= draw.chance_pct:
            return 0
        # 64 bits are less than two thousand units of the quote asset.
        return ((random.bits() << 64) | random.bits()) % (draw.most * MONEY_PER_UNIT + 1)

    def left(self, symbol: str, side: Side, moment: Moment) -> int:
        """Money units that can still be taken."""
        slot, taken = self._taken.get((symbol, side), (None, 0))
        offered = self.offered(symbol, side, moment)
        return offered - taken if slot == self._slot(moment) else offered

    def take(self, symbol: str, side: Side, moment: Moment, money: int) -> None:
        """Remember that ``money`` units are ours now; ValueError beyond what is left."""
        left = self.left(symbol, side, moment)
        if not 0 < money <= left:
            raise ValueError(f"expected 1..{left} money units of {symbol} to take, was {money}")
        taken = self.offered(symbol, side, moment) - left + money
        self._taken[symbol, side] = (self._slot(moment), taken)

    def _slot(self, moment: Moment) -> Moment:
        return Moment(moment.number, moment.ns // self._draw.slot_ns)
