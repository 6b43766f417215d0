"""Built-in strategies; importing this package makes them known by name."""

from workers.engine.strategies.ema_cross import EmaCross
from workers.engine.strategies.forecast_portfolio import ForecastPortfolio

__all__ = ["EmaCross", "ForecastPortfolio"]
