"""The closed sets of words in trading records. Order words are the engine's own."""

from __future__ import annotations

from django.db import models

from workers.engine.vocabulary import FeedState as EngineFeedState
from workers.engine.vocabulary import OrderStatus as EngineOrderStatus
from workers.engine.vocabulary import TradingState as EngineTradingState


class Mode(models.TextChoices):
    PAPER = "paper", "Paper"
    LIVE = "live", "Live"


class OrderSide(models.TextChoices):
    BUY = "BUY", "Buy"
    SELL = "SELL", "Sell"


class ResumeState(models.TextChoices):
    """PENDING waits for another person; the rest are final."""

    PENDING = "pending", "Waiting for approval"
    APPROVED = "approved", "Approved"
    EXPIRED = "expired", "Expired"
    SUPERSEDED = "superseded", "Superseded"


ORDER_STATUSES = [(status.value, status.value.replace("_", " ").capitalize()) for status in EngineOrderStatus]
TRADING_STATES = [(state.value, state.value.capitalize()) for state in EngineTradingState]
FEED_STATES = [(state.value, state.value.capitalize()) for state in EngineFeedState]
