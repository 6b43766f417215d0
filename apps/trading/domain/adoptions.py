"""Balances that differ from the venue's, as a reconciliation tells them, and what leave to adopt one is for. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from apps.core.money import plain

LIVES: Final = timedelta(minutes=15)
"""A decision that nobody approved, or no worker carried out, within this time is over."""
_BREAK: Final = re.compile(r"(?P<asset>\S+): (?P<ours>-?\d+(\.\d+)?) here, (?P<theirs>-?\d+(\.\d+)?) at the venue")


class BalanceBreak(NamedTuple):
    """What we hold of ``asset`` by our books, and by the venue's word."""

    asset: str
    ours: Decimal
    theirs: Decimal

    @property
    def digest(self) -> str:
        """Names exactly this difference: leave to adopt it is leave for nothing else."""
        said = f"{self.asset}:{plain(self.ours)}:{plain(self.theirs)}"
        return hashlib.sha256(said.encode()).hexdigest()[:24]


def balance_breaks(breaks: Iterable[str]) -> list[BalanceBreak]:
    """The balances among the breaks of a reconciliation; breaks of another kind are left out."""
    found = (_BREAK.fullmatch(text) for text in breaks)
    return [BalanceBreak(one["asset"], Decimal(one["ours"]), Decimal(one["theirs"])) for one in found if one]
