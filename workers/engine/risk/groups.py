"""Running sums of strategies that a limit bounds together: worth, worst-case exposure, and what has no price.

A ``Group`` is the strategies of one scope, a desk or a single strategy. Its sums are kept step by step, in exact
integers, with each fill, each change of an open order and each mark, so that a check costs the same with one
instrument or many. Positions of its strategies in one instrument make up for each other, as in the books.
"""

from __future__ import annotations

from collections.abc import Collection

from workers.engine.accounting.line import Line


class Cell:
    """What one group has in one instrument, in atoms; the line's valuation tells it of every new mark."""

    __slots__ = ("buying", "group", "held", "holders", "line", "per_atom", "selling", "worst", "worth")

    def __init__(self, group: Group, line: Line) -> None:
        self.group = group
        self.line = line
        self.held = 0
        """Atoms bought less sold."""
        self.buying = 0
        """Atoms that open buys may still buy."""
        self.selling = 0
        self.holders = 0
        """Strategies of the group whose own position here is not flat."""
        self.per_atom = line.mark * line.value_factor
        self.worth = 0
        self.worst = 0

    def marked(self) -> None:
        """The line's mark, or its grid, may have changed."""
        per_atom = self.line.mark * self.line.value_factor
        if per_atom != self.per_atom:
            if self.holders and not (per_atom and self.per_atom):
                self.group.blind += self.holders if not per_atom else -self.holders
            self.per_atom = per_atom
            self.value()

    def hold(self, atoms: int, holders: int) -> None:
        """The position of a strategy changed by ``atoms``, and the number of those that hold any by ``holders``."""
        self.held += atoms
        self.holders += holders
        if not self.per_atom:
            self.group.blind += holders
        self.value()

    def rest(self, buying: int, selling: int) -> None:
        """Open orders may now buy, and sell, so many atoms more."""
        self.buying += buying
        self.selling += selling
        self.value()

    def value(self) -> None:
        """Bring the group's sums in step with this cell."""
        group, held, per_atom = self.group, self.held, self.per_atom
        up, down = held + self.buying, self.selling - held
        worth, worst = held * per_atom, (up if up > down else down) * per_atom  # noqa: FURB136 - max() is slower
        group.worth += worth - self.worth
        group.gross += worst - self.worst
        self.worth, self.worst = worth, worst


class Group:
    """See the module. ``worth`` and ``gross`` in money units."""

    __slots__ = ("blind", "cells", "gross", "members", "worth")

    def __init__(self, members: Collection[str]) -> None:
        self.members = members
        self.cells: dict[str, Cell] = {}
        self.worth = 0
        """Worth of the positions at the newest marks."""
        self.gross = 0
        """Worst-case exposure: of each instrument the larger of what open buys, or open sells, can lead to."""
        self.blind = 0
        """Positions that no mark values: while there are any, the group's profit is not known."""

    def cell(self, line: Line) -> Cell:
        """What the group has in the line, followed from now on."""
        found = self.cells.get(line.symbol)
        if found is None:
            self.cells[line.symbol] = found = Cell(self, line)
            line.watched.append(found)
        return found
