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

from workers.engine.execution.matching_hidden import Draw
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
    dark: bool = False
    """Shows nothing, and crosses at the middle of the home venue's book."""
    hidden_pct: int = 0
    """In how many of a hundred slots each side of a dark venue has anything."""
    hidden_most: int = 0
    """Most that it has then, in whole units of the quote asset; every amount up to it is equally likely."""
    hidden_slot_s: float = 2.0
    """Length of a slot in seconds of the market's time."""

    def instruments(self, listed: Iterable[Instrument]) -> tuple[Instrument, ...]:
        """What the home venue lists, as it is listed here: with half the tick at a dark venue."""
        fees = {"maker_fee": self.maker_fee, "taker_fee": self.taker_fee}
        return tuple(
            msgspec.structs.replace(i, venue=self.name, tick=i.tick / 2 if self.dark else i.tick, **fees)
            for i in listed
        )

    def draw(self, seed: int) -> Draw | None:
        """How a dark venue's hidden liquidity is drawn; None for one that shows its book."""
        if not self.dark:
            return None
        slot_ns = round(self.hidden_slot_s * 1e9)
        return Draw(seed=seed, chance_pct=self.hidden_pct, most=self.hidden_most, slot_ns=slot_ns)

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
            "hidden_pct": (0, 100),
            "hidden_most": (0, 10**9),
            "hidden_slot_s": (0.001, 86_400),
        }
        if not _NAME.fullmatch(self.name):
            raise ProfileError(f"expected a venue's name in small letters, digits, - and _, was {self.name!r}")
        for field, (least, most) in limits.items():
            value = getattr(self, field)
            if not least <= value <= most:
                raise ProfileError(f"expected {field} of {self.name} within {least}..{most}, was {value}")
        shown = (self.share_pct, self.offset_ticks, self.widen_ticks) != (100, 0, 0)
        hidden = (self.hidden_pct, self.hidden_most) != (0, 0)
        if shown and self.dark:
            raise ProfileError(f"{self.name} shows no book: leave share_pct, offset_ticks and widen_ticks out")
        if hidden and not self.dark:
            raise ProfileError(f"{self.name} hides nothing: hidden_pct and hidden_most are for a dark venue")


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
        Profile(
            name="dark",
            maker_fee=Decimal("0.00005"),
            taker_fee=Decimal("0.00005"),
            dark=True,
            hidden_pct=40,
            hidden_most=40_000,
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
