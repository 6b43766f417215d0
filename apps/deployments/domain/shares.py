"""Shares of an account's equity that runs size by: together they are at most the whole."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from apps.core.errors import Conflict

WHOLE: Final = Decimal(1)
PLACES: Final = 6
"""Decimals that a share may have."""


class CapitalTaken(Conflict):
    code, title = "capital_taken", "Other runs have the capital"


class Held(NamedTuple):
    """The share of a run that is active."""

    number: int
    share: Decimal


def plain_share(share: Decimal) -> str:
    """``share`` without needless zeros."""
    return format(share.normalize(), "f")


def is_share(share: Decimal) -> bool:
    """Whether it lies above 0 and up to 1, with at most six decimals."""
    return share.is_finite() and 0 < share <= WHOLE and share == round(share, PLACES)


def share_beside(wanted: Decimal | None, held: Sequence[Held]) -> Decimal:
    """The share that a run gets beside those that are ``held``.

    Without a ``wanted`` one it is the whole, if nobody has any of it. Raises CapitalTaken when that is more than is
    left, with the runs that have the rest.
    """
    left = max(WHOLE - sum((one.share for one in held), Decimal(0)), Decimal(0))
    if (WHOLE if wanted is None else wanted) <= left:
        return WHOLE if wanted is None else wanted
    runs = ", ".join(f"run {one.number} has {plain_share(one.share)}" for one in held)
    if not left:
        advice = "nothing is left: stop one of them, or start it anew with a smaller share"
    elif wanted is None:
        advice = f"{plain_share(left)} is left: give the run a capital share up to that"
    else:
        advice = f"{plain_share(left)} is left, {plain_share(wanted)} was asked for"
    taken = {str(one.number): plain_share(one.share) for one in held}
    raise CapitalTaken(f"{runs} of the account's capital; {advice}", runs=taken, left=plain_share(left))
