"""The venues that the process plays beside the home venue: what each of them charges, shows, and how fast it is.

``GEKKO_PAPER_VENUES`` is a list of words ``name[:profile][:field=value]...`` with commas between them:
``beta,dark`` plays two known ones, ``east:beta:share_pct=30:taker_fee=0.0002`` one that is called ``east``, and is
``beta`` but for two numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from workers.engine.instruments import Instrument

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,30}")
_FEE_BELOW: Final = Decimal("0.1")


class ProfileError(ValueError):
    """A venue that cannot be played, with the word that asks for it."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One venue beside the home venue. Fees are fractions of the notional; ticks are the home venue's."""

    name: str
    maker_fee: Decimal
    taker_fee: Decimal
    start_quote: Decimal = Decimal(100_000)
    """Balance of each quote asset at its first start."""
    latency_ms: float = 1.0
    latency_median_ms: float = 1.0
    latency_sigma: float = 0.5
    share_pct: int = 100
    """What it shows of each size, rounded up to a lot; of a trade, rounded down."""
    offset_ticks: int = 0
    """How far all of its prices are above the home venue's; below for negative ones."""
    widen_ticks: int = 0
    """How much lower its bids, and how much higher its offers are."""

    def instruments(self, listed: Iterable[Instrument]) -> tuple[Instrument, ...]:
        """What the home venue lists, as it is listed here."""
        return tuple(
            msgspec.structs.replace(i, venue=self.name, maker_fee=self.maker_fee, taker_fee=self.taker_fee)
            for i in listed
        )

    def check(self) -> None:
        """Raise ProfileError for what cannot be played."""
        limits: dict[str, tuple[float | Decimal, float | Decimal]] = {
            "maker_fee": (-_FEE_BELOW, _FEE_BELOW),
            "taker_fee": (-_FEE_BELOW, _FEE_BELOW),
            "start_quote": (0, 10**9),
            "latency_ms": (0, 60_000),
            "latency_median_ms": (0, 60_000),
            "latency_sigma": (0, 5),
            "share_pct": (1, 1_000),
            "offset_ticks": (-1_000, 1_000),
            "widen_ticks": (0, 1_000),
        }
        if not _NAME.fullmatch(self.name):
            raise ProfileError(f"expected a venue's name in small letters, digits, - and _, was {self.name!r}")
        for field, (least, most) in limits.items():
            value = getattr(self, field)
            if not least <= value <= most:
                raise ProfileError(f"expected {field} of {self.name} within {least}..{most}, was {value}")


PROFILES: Final = {
    one.name: one
    for one in (
        Profile(
            name="beta",
            maker_fee=Decimal("0.00002"),
            taker_fee=Decimal("0.00008"),
            latency_ms=2.0,
            latency_median_ms=2.0,
            share_pct=60,
            widen_ticks=1,
        ),
        Profile(
            name="gamma",
            maker_fee=Decimal(0),
            taker_fee=Decimal("0.00012"),
            latency_ms=0.5,
            latency_median_ms=0.5,
            share_pct=35,
            offset_ticks=1,
        ),
    )
}


def parse(text: str) -> tuple[Profile, ...]:
    """The venues that ``text`` asks for; ProfileError names the word that is wrong."""
    found: dict[str, Profile] = {}
    for word in (part.strip() for part in text.split(",")):
        if not word:
            continue
        profile = _profile(word)
        if profile.name in found:
            raise ProfileError(f"GEKKO_PAPER_VENUES: expected each venue once, was {profile.name!r} again")
        found[profile.name] = profile
    return tuple(found.values())


def _profile(word: str) -> Profile:
    name, *rest = word.split(":")
    kind = rest.pop(0) if rest and "=" not in rest[0] else name
    if kind not in PROFILES:
        known = ", ".join(PROFILES)
        raise ProfileError(f"GEKKO_PAPER_VENUES: expected one of the profiles {known}, or NAME:PROFILE, was {word!r}")
    given = dict(part.partition("=")[::2] for part in rest)
    try:
        values = msgspec.to_builtins(PROFILES[kind]) | given | {"name": name}
        profile = msgspec.convert(values, Profile, strict=False)
        profile.check()
    except (msgspec.ValidationError, ProfileError) as error:
        raise ProfileError(f"GEKKO_PAPER_VENUES: {error} ({word!r})") from error
    return profile
