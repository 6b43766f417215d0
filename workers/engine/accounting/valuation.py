"""Books at the newest marks: equity, drawdown, day's profit and worst-case exposure, kept up step by step.

Nothing here is journalled but its samples (``Marked``). Profit is ``realised + unrealised - fees + funding``, so that
deposits and adopted balances move neither the high-water mark nor the day's profit. Days start at 00:00 UTC. All in
money units.
"""

from __future__ import annotations

from workers.engine.accounting.books import Books
from workers.engine.accounting.line import Line
from workers.engine.config import DAY_NS
from workers.engine.events import Marked
from workers.engine.risk.limits import Limits


class Valuation:
    """Marks to market in O(1) per price and per fill; call ``refresh`` for each line that the books touched."""

    __slots__ = ("books", "day_end", "gross", "peak", "unmarked", "value")

    def __init__(self, books: Books) -> None:
        self.books = books
        self.value = 0
        """Worth of all priced atoms."""
        self.gross = 0
        """Sum over instruments of the largest position that open orders can lead to, at the mark."""
        self.unmarked = 0
        """Instruments with exposure and no mark: while there are any, exposure is not known."""
        self.peak = books.peak
        self.day_end = (books.day + 1) * DAY_NS
        for line in books.lines.values():
            line.value = line.worst = line.extreme = 0
            self.refresh(line)

    def refresh(self, line: Line) -> None:
        """Value the line again after its position, open orders or mark changed."""
        position, mark = line.position, line.mark
        up = position + line.open_buy * line.lot_atoms
        down = position - line.open_sell * line.lot_atoms
        size = max(up, -down)
        if mark:
            per_atom = mark * line.value_factor
            value, worst = (position - line.unpriced) * per_atom, size * per_atom
            line.extreme = worst if size == up else -worst
        else:
            value, worst = line.cost, -1 if size else 0
            line.extreme = 0
        self.value += value - line.value
        before = line.worst
        if worst < 0 or before < 0:
            self.unmarked += (worst < 0) - (before < 0)
            self.gross += max(worst, 0) - max(before, 0)
        else:
            self.gross += worst - before
        line.value = value
        line.worst = worst
        for watcher in line.watched:
            watcher.marked()

    def mark(self, line: Line, ticks: int) -> None:
        """Move the line's mark; the same as setting it and ``refresh``, and quicker where nothing is open."""
        change = ticks - line.mark
        if line.position > 0 and not (line.unpriced or line.open) and line.mark and ticks:
            worth = line.position * change * line.value_factor
            line.mark = ticks
            line.value += worth
            line.worst += worth
            line.extreme += worth
            self.value += worth
            self.gross += worth
            for watcher in line.watched:
                watcher.marked()
            return
        line.mark = ticks
        # A short that adopted atoms cover is flat and worth something all the same until these have a price.
        if line.position or line.open or line.unpriced:
            self.refresh(line)
        else:
            for watcher in line.watched:
                watcher.marked()

    def watch(self, limits: Limits | None) -> str:
        """Follow the high-water mark; name the loss that has reached its limit, if one has.

        While a position has no mark there is nothing to judge by, and nothing is followed.
        """
        if self.unmarked:
            return ""
        pnl, drawdown = self.pnl, 0
        if pnl >= self.peak:
            self.peak = pnl
        else:
            drawdown = self.peak - pnl
        if limits is None:
            return ""
        if drawdown >= limits.max_drawdown:
            return "drawdown"
        return "daily loss" if self.books.day_start - pnl >= limits.max_daily_loss else ""

    def roll_day(self) -> None:
        """Take the end of the day that the books are in."""
        self.day_end = (self.books.day + 1) * DAY_NS

    @property
    def unrealised(self) -> int:
        """Worth of the positions above their cost."""
        return self.value - self.books.cost

    @property
    def pnl(self) -> int:
        """Profit since the books began, after fees."""
        books = self.books
        return self.value - books.cost + books.realised - books.fees + books.funding

    @property
    def equity(self) -> int:
        """Capital brought in plus profit; equal to cash plus the worth of positions."""
        return self.books.capital + self.pnl

    @property
    def drawdown(self) -> int:
        """Profit lost since its highest point, never negative."""
        return max(self.peak - self.pnl, 0)

    @property
    def day_pnl(self) -> int:
        """Profit since the start of the UTC day."""
        return self.pnl - self.books.day_start

    def sample(self, now: int) -> Marked:
        """The valuation as an event to journal."""
        books = self.books
        return Marked(
            ts=now,
            equity=self.equity,
            realised=books.realised,
            unrealised=self.unrealised,
            fees=books.fees,
            cash=books.cash,
            gross=self.gross,
            drawdown=self.drawdown,
            positions={symbol: line.position for symbol, line in books.lines.items() if line.position},
            marks={symbol: line.mark for symbol, line in books.lines.items() if line.mark},
            funding=books.funding,
        )
