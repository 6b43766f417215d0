"""Trading records: what is traded, what was ordered, what it made of the books, and who may trade."""

from apps.trading.models.adoptions import BalanceAdoption
from apps.trading.models.backtests import Backtest
from apps.trading.models.books import Balance, EquityPoint, Position
from apps.trading.models.control import Halt, ResumeRequest, TradingControl
from apps.trading.models.ledger import AttributionCell, LedgerPosting
from apps.trading.models.observed import FeedObservation, JournalCursor, ReconciliationRun, RunObservation
from apps.trading.models.orders import Fill, Order
from apps.trading.models.parents import ParentOrder
from apps.trading.models.portfolio import RebalanceRun, RebalanceState
from apps.trading.models.rebalances import (
    ExecutionState,
    LegState,
    RebalanceExecution,
    RebalanceLeg,
    RebalanceSchedule,
)
from apps.trading.models.reference import Instrument, Venue
from apps.trading.models.risk import RiskBasis, RiskReport
from apps.trading.models.routes import ParentRoute
from apps.trading.models.scopes import CancelOrder, ScopeControl, ScopeHalt

__all__ = [
    "AttributionCell",
    "Backtest",
    "Balance",
    "BalanceAdoption",
    "CancelOrder",
    "EquityPoint",
    "ExecutionState",
    "FeedObservation",
    "Fill",
    "Halt",
    "Instrument",
    "JournalCursor",
    "LedgerPosting",
    "LegState",
    "Order",
    "ParentOrder",
    "ParentRoute",
    "Position",
    "RebalanceExecution",
    "RebalanceLeg",
    "RebalanceRun",
    "RebalanceSchedule",
    "RebalanceState",
    "ReconciliationRun",
    "ResumeRequest",
    "RiskBasis",
    "RiskReport",
    "RunObservation",
    "ScopeControl",
    "ScopeHalt",
    "TradingControl",
    "Venue",
]
