"""How long to wait after failed sign-ins: a few tries are free, then the wait doubles up to a quarter of an hour."""

from __future__ import annotations

from typing import Final

FREE: Final = 4
CAP_S: Final = 900
FORGET_S: Final = 3600
"""Failures this long ago do not count any more."""


def wait_after(failures: int) -> int:
    """Seconds until the next try after ``failures`` misses in a row: 0 for the first four, then 2, 4, 8 ... 900."""
    if failures <= FREE:
        return 0
    return int(min(CAP_S, 2 ** min(failures - FREE, 16)))
