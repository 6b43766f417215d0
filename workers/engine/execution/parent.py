"""Parent orders: a quantity to be worked over time by child orders. What is asked for, and how far it has come.

A parent lives in the books and changes by journal events alone, so that a restarted worker knows of every parent what
was started, sent and filled, and neither sends a child twice nor leaves one behind.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from enum import StrEnum
from typing import Any, Final

import msgspec

from workers.engine.execution.client_ids import base36
from workers.engine.vocabulary import Side


class ParentStatus(StrEnum):
    """``CANCELLING`` sends nothing more and waits for its children's end; the last four are final."""

    ACTIVE = "ACTIVE"
    CANCELLING = "CANCELLING"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REFUSED = "REFUSED"

    @property
    def is_live(self) -> bool:
        """True while children may be open or still come."""
        return self in (ParentStatus.ACTIVE, ParentStatus.CANCELLING)


class ParentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A parent that a strategy or a person wants. Lots, ticks, and ns by our clock.

    ``start`` 0 is at once. ``end`` 0 is until filled or cancelled, which only ``iceberg`` and ``pov`` know.
    ``limit_price`` 0 is no limit. ``params`` belong to the algorithm, see ``algorithms``; ``seed`` makes its chance.
    """

    symbol: str
    side: Side
    lots: int
    algorithm: str
    params: dict[str, Any] = {}
    start: int = 0
    end: int = 0
    limit_price: int = 0
    reduce_only: bool = False
    seed: int = 0
    route: bool = False
    """Whether what must be taken is routed over all venues of the account that trade the same pair."""
    displaces: bool = False
    """Whether orders on its side that hold lots which it is to trade are cancelled first, stops at the venue too."""


class Parent(msgspec.Struct, kw_only=True, gc=False):
    """One parent in the books. ``children`` counts the orders that were intended for it."""

    parent_id: str
    run_id: str
    by: str
    symbol: str
    side: Side
    lots: int
    algorithm: str
    params: dict[str, Any]
    start: int
    end: int
    limit_price: int
    reduce_only: bool
    seed: int
    arrival: int
    """Middle of the market in ticks when it was decided, 0 when none was known."""
    created: int
    updated: int
    status: ParentStatus = ParentStatus.ACTIVE
    detail: str = ""
    """Why it ended, is being cancelled, or was last denied a child."""
    children: int = 0
    open: list[str] = []
    """Client ids of children that may still fill."""
    filled: int = 0
    notional: int = 0
    fees: int = 0
    """Fees in money units, as far as they were taken in base or quote."""
    fills: list[tuple[int, int]] = []
    """(our time, lots done by then) of every fill, oldest first."""
    begun: int = 0
    """Middle of the market in ticks when the first child was decided."""
    lot_atoms: int = 0
    """Atoms of the base in one of its lots."""
    route: bool = False
    routes: int = 0
    """Routing decisions so far."""
    measured: bool = False
    displaces: bool = False
    setbacks: int = 0
    """Denials, rejections and unfilled children in a row: each makes the next pause longer."""
    quiet_until: int = 0

    @property
    def remaining(self) -> int:
        """Lots that are not done; never negative, even after an overfill."""
        return max(self.lots - self.filled, 0)

    def done_before(self, ts: int) -> int:
        """Lots done by ``ts``."""
        index = bisect_right(self.fills, ts, key=_time)
        return self.fills[index - 1][1] if index else 0


def _time(fill: tuple[int, int]) -> int:
    return fill[0]


PREFIX: Final = "gp1-"


def parent_id_of(run_id: str, epoch: int, number: int) -> str:
    """Id of the ``number``-th parent of the journal, asked for by a run; the same journal gives the same ids."""
    return f"{PREFIX}{hashlib.sha256(run_id.encode()).hexdigest()[:12]}-{base36(epoch)}-{base36(number)}"
