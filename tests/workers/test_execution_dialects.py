"""Which venues a worker may have at all: no exchange on paper, none without its key, and each says what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings as django_settings

from tests.support.execution import Oscillating
from workers.adapters.journal import Journal
from workers.engine.market.venues import Feature
from workers.live.execution.binance_dialect import BinanceDialect
from workers.live.execution.config import LoopConfig, VenueAccess
from workers.live.execution.dialects import check, dialect_of
from workers.live.execution.exchange_dialects import CcxtDialect, ExchangeDialect, OandaDialect, VenueSetupError
from workers.live.execution.loop import TradingLoop
from workers.live.execution.process import ExecutionProcess, config_from_settings

PEM = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
STREAMED = ("binanceus", "coinbase", "coinbaseexchange", "oanda", "ccxt:coinbase")
EXCHANGES = (*STREAMED, "kraken")


def at(name: str, **fields: Any) -> VenueAccess:
    """A venue with all parts of a key."""
    given = {"name": name, "url": None, "api_key": "key", "api_secret": PEM, "api_password": "pass", "symbols": ("X",)}
    return VenueAccess(**{**given, **fields})


def settings(home: VenueAccess, *, live: bool, others: tuple[VenueAccess, ...] = ()) -> LoopConfig:
    given = {name: getattr(home, name) for name in home.__struct_fields__ if name not in ("name", "url")}
    return LoopConfig(
        venue=home.name,
        venue_url=home.url,
        worker="execution",
        journal_dir=Path("nowhere"),
        live=live,
        others=others,
        **given,
    )


@pytest.mark.parametrize(
    "venue",
    [*(at(name) for name in EXCHANGES), *(at(name, rest_url="http://127.0.0.1:9") for name in STREAMED)],
    ids=lambda venue: f"{venue.name} {venue.rest_url}",
)
def test_a_paper_worker_has_no_adapter_of_an_exchange_to_send_with(venue: VenueAccess, tmp_path: Path) -> None:
    """Not as the home venue, not as another one, and not with half of its addresses elsewhere."""
    paper = at("paper", url="http://127.0.0.1:9")
    journal = Journal(tmp_path)
    for config in (settings(venue, live=False), settings(paper, live=False, others=(venue,))):
        with pytest.raises(VenueSetupError, match=r"GEKKO_MODE=live|one address"):
            check(config)
        with pytest.raises(VenueSetupError):
            TradingLoop(config, journal, Oscillating())
    journal.close()


def test_the_mode_of_the_settings_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an exchange's code and keys ask for in paper mode is refused; in live mode no paper venue is addressed."""
    given = {"GEKKO_VENUE_CODE": "oanda", "GEKKO_VENUE_API_KEY": "account", "GEKKO_VENUE_API_SECRET": "token"}
    for name, value in given.items():
        monkeypatch.setattr(django_settings, name, value)
    assert django_settings.GEKKO_MODE == "paper"
    with pytest.raises(VenueSetupError, match="speaks Binance's protocol"):
        ExecutionProcess(config_from_settings())
    monkeypatch.setattr(django_settings, "GEKKO_MODE", "live")
    config = config_from_settings()
    assert (config.live, config.venue_url) == (True, None)
    assert isinstance(dialect_of(config.home, config), OandaDialect)


def test_a_paper_venue_is_none_at_an_exchanges_address() -> None:
    with pytest.raises(VenueSetupError, match=r"is an exchange's"):
        check(settings(at("paper", url="https://api.binance.us"), live=False))
    with pytest.raises(VenueSetupError, match=r"speaks Binance's protocol"):
        check(settings(at("paper", url="http://127.0.0.1:9", code="coinbase"), live=False))
    with pytest.raises(VenueSetupError, match="paper is no exchange"):
        check(settings(at("paper"), live=True))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("binanceus", BinanceDialect),
        ("coinbase", ExchangeDialect),
        ("coinbaseexchange", ExchangeDialect),
        ("oanda", OandaDialect),
        ("kraken", CcxtDialect),
    ],
)
def test_a_live_worker_speaks_each_in_its_own_way(name: str, kind: type) -> None:
    venue = at(f"my-{name}", code=name)
    dialect = dialect_of(venue, settings(venue, live=True))
    assert type(dialect) is kind
    assert dialect.venue.name == f"my-{name}"


def test_features_of_a_venue_of_ccxt_are_what_ccxt_says() -> None:
    venue = at("okx")
    rules = dialect_of(venue, settings(venue, live=True)).venue.rules
    assert {Feature.IOC, Feature.FOK, Feature.LIMIT_MAKER, Feature.MARKET} <= rules.features
    assert Feature.DEDUPLICATES_CLIENT_ID not in rules.features


@pytest.mark.parametrize(
    ("venue", "told"),
    [
        (at("coinbase", api_key=""), "the API key's name"),
        (at("coinbase", api_secret="no key"), "the secret cannot sign"),
        (at("oanda", api_secret=""), "personal access token"),
        (at("okx", api_password=""), "it lacks the credential password"),
        (at("kraken", symbols=()), "name its instruments"),
        (at("nosuchvenue"), "expected a venue of ccxt, was 'nosuchvenue'"),
        (at("binanceus", rest_url="http://127.0.0.1:9", stream_url="ws://127.0.0.1:9"), "one address"),
    ],
    ids=lambda value: value.name if isinstance(value, VenueAccess) else "",
)
def test_what_is_missing_is_said_before_anything_is_connected(venue: VenueAccess, told: str) -> None:
    with pytest.raises(VenueSetupError, match=told):
        check(settings(venue, live=True))
