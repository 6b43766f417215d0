"""Built-in strategies and those of one's own folder; importing this package makes them known by name."""

from workers.engine.strategies.ema_cross import EmaCross
from workers.engine.strategies.folder import load_named
from workers.engine.strategies.forecast_portfolio import ForecastPortfolio
from workers.engine.strategies.market_making import MarketMaking
from workers.engine.strategies.mean_reversion import MeanReversion

__all__ = ["OWN", "EmaCross", "ForecastPortfolio", "MarketMaking", "MeanReversion"]

OWN = load_named()
"""Names of the strategies that GEKKO_STRATEGIES brought."""
