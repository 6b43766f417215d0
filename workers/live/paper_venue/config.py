"""Configuration of the paper venue, from environment variables."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

import msgspec

from workers.live.paper_venue.profiles import Profile, ProfileError, parse


class MarketKind(StrEnum):
    """Where the prices come from; the dashboard's badge shows it."""

    AUTO = "auto"
    RECORDING = "recording"
    BARS = "bars"
    LIVE = "live"
    SAMPLE = "sample"
    SYNTHETIC = "synthetic"


_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ConfigError(ValueError):
    """A setting of the paper venue that cannot be used."""


class VenueConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the venue can be told. Fees are fractions; ``speed`` is recorded seconds per second."""

    host: str = "127.0.0.1"
    port: int = 18010
    state_dir: Path = Path(".gekko/venue")
    data_dir: Path = Path("../shared/data")
    market: MarketKind = MarketKind.AUTO
    speed: float = 1.0
    preroll_s: float = 120.0
    break_s: float = 2.0
    bar_seconds: float = 1.0
    events_per_second: float = 50.0
    session_s: float = 86_400.0
    seed: int = 7
    api_key: str = "paper-key"
    api_secret: str = "paper-secret"  # noqa: S105 - a fixed pair for a venue that holds no real money
    fault_token: str = ""
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    start_quote: Decimal = Decimal(100_000)
    latency_ms: float = 1.0
    latency_median_ms: float = 1.0
    latency_sigma: float = 0.5
    weight_limit: int = 6000
    order_limit: int = 100
    live_rest: str = "https://api.binance.us"
    live_stream: str = "wss://stream.binance.us:9443"
    redis_url: str = ""
    venues: tuple[Profile, ...] = ()
    """What is played beside the home venue."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> VenueConfig:
        """Read ``GEKKO_VENUE_<FIELD>`` for every field; ConfigError names the variable that is wrong."""
        values: dict[str, object] = {}
        for field in msgspec.structs.fields(cls):
            name = _ENV_NAMES.get(field.name, f"GEKKO_VENUE_{field.name.upper()}")
            text = env.get(name, "")
            if text:
                values[field.name] = _venues(text) if field.name == "venues" else _convert(name, text, field.type)
        values = _installation(env) | values
        config = cls(**values)  # type: ignore[arg-type]  # each value was converted to its field's own type
        config.check()
        return config

    def check(self) -> None:
        """Raise ConfigError for what cannot work."""
        for name in ("speed", "bar_seconds", "events_per_second", "session_s"):
            value = getattr(self, name)
            if not 0 < value < 1e9:
                raise ConfigError(f"expected {name} of the paper venue above 0, was {value}")
        if not 0 <= self.port < 65_536:
            raise ConfigError(f"expected port of the paper venue within 0..65535, was {self.port}")
        if self.fault_token and self.host not in _LOOPBACK:
            raise ConfigError(f"the fault port is for loopback alone; GEKKO_VENUE_HOST is {self.host}, unset the token")

    def of(self, profile: Profile) -> VenueConfig:
        """The configuration of one of ``venues``: its own numbers, and a folder of its own in the home venue's."""
        return msgspec.structs.replace(
            self,
            state_dir=self.state_dir / "venues" / profile.name,
            seed=self.seed ^ zlib.crc32(profile.name.encode()),
            maker_fee=profile.maker_fee,
            taker_fee=profile.taker_fee,
            start_quote=profile.start_quote,
            latency_ms=profile.latency_ms,
            latency_median_ms=profile.latency_median_ms,
            latency_sigma=profile.latency_sigma,
            venues=(),
        )


_ROOT = Path(__file__).resolve().parents[3]


def _installation(env: Mapping[str, str]) -> dict[str, object]:
    """What follows from where the installation lives, for settings that are not given one by one."""
    state = Path(env.get("GEKKO_STATE_DIR") or _ROOT / ".gekko")
    found: dict[str, object] = {"state_dir": state / "venue", "data_dir": _ROOT.parent / "shared" / "data"}
    if env.get("GEKKO_MARKET"):
        found["market"] = _convert("GEKKO_MARKET", env["GEKKO_MARKET"], MarketKind)
    for name in ("api_key", "api_secret"):
        secret = state / "secrets" / f"venue_{name}"
        if secret.exists():
            found[name] = secret.read_text().strip()
    password = state / "secrets" / "valkey_password"
    if env.get("GEKKO_PROCESS") and password.exists():
        port = env.get("GEKKO_VALKEY_PORT") or 16379
        found["redis_url"] = f"redis://:{password.read_text().strip()}@127.0.0.1:{port}/0"
    return found


_ENV_NAMES = {
    "data_dir": "GEKKO_DATA",
    "state_dir": "GEKKO_VENUE_STATE",
    "redis_url": "REDIS_URL",
    "venues": "GEKKO_PAPER_VENUES",
}


def _venues(text: str) -> tuple[Profile, ...]:
    try:
        return parse(text)
    except ProfileError as error:
        raise ConfigError(str(error)) from error


def _convert(name: str, text: str, kind: object) -> object:
    try:
        return msgspec.convert(text, kind, strict=False, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {error}, was {text!r}") from error


def _decode_path(kind: type, text: object) -> object:
    return kind(text)
