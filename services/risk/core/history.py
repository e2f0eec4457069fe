"""What is kept of an account at a moment, for its history."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from services.risk.core.book import Book, book_of
from services.risk.core.levels import level_now, measures, utilisations
from services.risk.core.positions import unrealised_pnl
from services.risk.core.state import Account, FirmState
from services.risk.core.tail_methods import every_method
from services.risk.core.units import amount, moment
from services.risk.core.views import market_value, net_notional, shown_level, signed_share
from shared.schemas.decisions import RiskLevel
from shared.schemas.history import HistoryReason, PortfolioPoint, PositionPoint, RiskPoint
from shared.schemas.kill_switches import KillSwitchView
from shared.schemas.limits import Utilisation

Signature = tuple[int, int, int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A row that gave an account a level, or None where a kill switch did."""

    seq: int
    ts: datetime
    level: tuple[RiskLevel, str] | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A position; quantity, price and money are in units of 10^-10."""

    symbol: str
    quantity: int
    average_price: int
    mark_price: int | None
    market_value: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An account at one row of the journal, copied so that the rest can be worked out beside the writer.

    Money is in units of 10^-10, `measured` as `levels.measures` gives it.
    """

    account_id: str
    simulation_id: str | None
    session_date: date
    base_currency: str
    equity: int
    cash: int
    start_of_day_equity: int
    high_water_mark: int
    realised_pnl: int
    unrealised_pnl: int
    fees: int
    gross: int
    net: int
    open_orders: int
    positions: tuple[Held, ...]
    level: tuple[RiskLevel, str]
    switches: tuple[KillSwitchView, ...]
    measured: dict[str, float]
    worst: Utilisation
    book: Book | None
    clock: int | None
    account_seq: int
    seq: int

    @property
    def flat(self) -> bool:
        """Tell whether nothing can move the account but what is done to it."""
        return not self.positions and not self.open_orders

    @property
    def signature(self) -> Signature:
        """Return what is another once something has happened to the account: rows of its own, marks, switches."""
        switches = tuple(each.kill_switch_id for each in self.switches)
        return self.account_seq, self.equity, self.gross, switches


def snapshot(state: FirmState, account: Account) -> Snapshot:
    """Return what is kept of an account as it stands."""
    found = measures(state, account)
    positions = account.positions
    return Snapshot(
        account_id=account.account_id,
        simulation_id=account.simulation_id,
        session_date=account.session_date,
        base_currency=account.base_currency,
        equity=account.equity,
        cash=account.cash,
        start_of_day_equity=account.start_of_day_equity,
        high_water_mark=account.high_water_mark,
        realised_pnl=account.realised_pnl,
        unrealised_pnl=sum(unrealised_pnl(each) for each in positions.values()),
        fees=account.fees,
        gross=account.gross_now,
        net=net_notional(account),
        open_orders=len(account.open_orders),
        positions=tuple(
            Held(symbol, each.quantity, each.average_price, each.mark.price if each.mark else None, market_value(each))
            for symbol, each in sorted(positions.items())
            if each.quantity
        ),
        level=level_now(account, found),
        switches=tuple(state.active_switches(account.account_id, None, None)),
        measured=found,
        worst=max(utilisations(account, found), key=lambda each: each.utilisation),
        book=book_of(state, account),
        clock=account.clock,
        account_seq=account.state_seq,
        seq=state.last_seq,
    )


def worth_keeping(earlier: Signature | None, now: Snapshot) -> bool:
    """Tell whether a minute's point says anything new.

    A live account with a position or an open order always has something to say; one without, and a simulated one, whose
    time stands still, only once something has happened to it.
    """
    if earlier is None or (now.simulation_id is None and not now.flat):
        return True
    return now.signature != earlier


def points(found: Snapshot, taken: datetime, change: LevelChange | None) -> tuple[PortfolioPoint, RiskPoint]:
    """Return an account's moment as it is stored: a minute's, or that of a row that changed its level.

    Milliseconds, as the tail is measured by every method. Not validated: the figures come from the state.
    """
    key: dict[str, Any] = {
        "account_id": found.account_id,
        "ts": _time(found, taken, change),
        "journal_seq": change.seq if change else found.seq,
        "state_seq": found.seq,
        "reason": HistoryReason.LEVEL if change else HistoryReason.MINUTE,
        "simulation_id": found.simulation_id,
        "session_date": found.session_date,
    }
    level = (change.level if change else None) or found.level
    return _portfolio(found, key), _risk(found, key, level)


def _time(found: Snapshot, taken: datetime, change: LevelChange | None) -> datetime:
    if change is not None and change.level is not None:
        return change.ts
    # A minute and a kill switch come at the machine's time, which is none of a simulation's.
    if found.simulation_id is not None and found.clock is not None:
        return moment(found.clock)
    return change.ts if change else taken


def _portfolio(found: Snapshot, key: dict[str, Any]) -> PortfolioPoint:
    return PortfolioPoint.model_construct(
        **key,
        base_currency=found.base_currency,
        equity=amount(found.equity),
        cash=amount(found.cash),
        start_of_day_equity=amount(found.start_of_day_equity),
        high_water_mark=amount(found.high_water_mark),
        realised_pnl=amount(found.realised_pnl),
        unrealised_pnl=amount(found.unrealised_pnl),
        day_pnl=amount(found.equity - found.start_of_day_equity),
        fees=amount(found.fees),
        gross_notional=amount(found.gross),
        net_notional=amount(found.net),
        open_orders=found.open_orders,
        positions=[_position(each) for each in found.positions],
    )


def _risk(found: Snapshot, key: dict[str, Any], given: tuple[RiskLevel, str]) -> RiskPoint:
    level, why = shown_level(*given, found.switches)
    return RiskPoint.model_construct(
        **key,
        level=level,
        level_reason=why,
        kill_switch_active=bool(found.switches),
        drawdown=found.measured["drawdown"],
        daily_loss=found.measured["daily_loss"],
        gross_exposure=found.measured["gross_exposure"],
        net_exposure=signed_share(found.net, found.equity),
        leverage=found.measured["leverage"],
        worst_limit=found.worst.name,
        worst_utilisation=found.worst.utilisation,
        tail_risk=every_method(found.book) if found.book else [],
    )


def _position(held: Held) -> PositionPoint:
    return PositionPoint.model_construct(
        symbol=held.symbol,
        quantity=amount(held.quantity),
        average_price=amount(held.average_price),
        mark_price=None if held.mark_price is None else amount(held.mark_price),
        market_value=amount(held.market_value),
    )
