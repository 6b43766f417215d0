"""Whether the desk trades live, told by the app above that keeps venues: policies know none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from django.conf import settings

ModesOf = Callable[[], Iterable[str]]
"""Modes of the venues that orders go to."""

LIVE: Final = "live"
PAPER: Final = "paper"

_tellers: list[ModesOf] = []


def tell_modes(teller: ModesOf) -> None:
    """Ask ``teller`` for the venues' modes from now on."""
    _tellers.append(teller)


def desk_mode() -> str:
    """Live as soon as the desk is set up so or one venue is live: the stricter rule holds for the whole desk."""
    modes = {settings.GEKKO_MODE, *(mode for teller in _tellers for mode in teller())}
    return PAPER if modes == {PAPER} else LIVE
