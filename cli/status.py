"""`keelson status`: the dashboard in a terminal."""

import time
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.client import Api, CommandError, api_client, reporting_errors
from shared.money import format_decimal
from shared.schemas.accounts import AccountStatus
from shared.schemas.dashboard import Dashboard, Section
from shared.schemas.decisions import RiskLevel
from shared.schemas.kill_switches import KillSwitchView

_EVERY_SECONDS = 2.0
_ROWS = 8
_LABEL = 12
# Without a terminal there is no width to keep to.
_WIDTH = 140
_COLOURS = {
    RiskLevel.GREEN: "green",
    RiskLevel.YELLOW: "yellow",
    RiskLevel.ORANGE: "dark_orange",
    RiskLevel.RED: "red",
    RiskLevel.BLACK: "bold white on black",
}
T = TypeVar("T")


def status(
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    url: Annotated[str | None, typer.Option(help="Where the suite answers.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File that holds the key to use.")] = None,
) -> None:
    """Show what is going on, live until Ctrl-C."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    with reporting_errors(), api_client(url, token_file, timeout=10) as client:
        # Shown anew every two seconds: trying again is what it does anyway.
        api = Api(client, retry_seconds=0)
        if once or not console.is_terminal:
            console.print(frame(_ask(api)))
            return
        try:
            with Live(frame(_ask(api)), console=console, screen=True, auto_refresh=False) as live:
                while True:
                    time.sleep(_EVERY_SECONDS)
                    try:
                        live.update(frame(_ask(api)), refresh=True)
                    except CommandError as error:
                        live.update(Panel(Text(str(error), style="red"), title="no answer"), refresh=True)
        except KeyboardInterrupt:
            return


def _ask(api: Api) -> Dashboard:
    return api.get("/api/v1/dashboard", Dashboard)


def frame(board: Dashboard) -> RenderableType:
    """Return one frame of the display."""
    switches = board.kill_switches.data
    stopped: list[RenderableType] = [_stopped(each) for each in switches or []]
    if switches is None:
        stopped.append(_unavailable("kill switches", board.kill_switches))
    return Group(
        Text(f"Keelson at {board.generated_at:%Y-%m-%d %H:%M:%S} UTC", style="bold"),
        *stopped,
        _services(board),
        _accounts(board),
        _decisions(board),
        _feeds(board),
        _trades(board),
        _ledger(board),
    )


def _stopped(switch: KillSwitchView) -> RenderableType:
    """Return a switch in force: its id is what `keelson release` asks for."""
    where = f"{switch.scope} {switch.target}" if switch.target else switch.scope
    text = Text(f"STOPPED: {where}: {switch.reason}", style="bold red")
    text.append(
        f"\nkill switch {switch.kill_switch_id}, {switch.kind}, since {switch.activated_at:%Y-%m-%d %H:%M:%S} UTC, "
        f"by {switch.activated_by}",
        style="not bold",
    )
    if switch.release_requested_by:
        text.append(f"\n{switch.release_requested_by} asks for its release; another admin must confirm", style="yellow")
    return Panel(text)


def _services(board: Dashboard) -> RenderableType:
    made = Table("service", "state", "needs", title="services", title_justify="left")
    for service in board.services:
        needs = ", ".join(f"{each.name} {'ok' if each.ok else each.detail}" for each in service.dependencies)
        colour = "green" if service.state == "ready" else "red"
        made.add_row(service.name, Text(service.state, style=colour), Text(needs or service.detail or ""))
    return made


def _accounts(board: Dashboard) -> RenderableType:
    accounts = board.accounts.data
    if accounts is None:
        return _unavailable("accounts", board.accounts)
    made = Table(
        "account", "level", "equity", "realised", "unrealised", "fees", "drawdown", "positions",
        title="accounts, the newest first", title_justify="left",
    )  # fmt: skip
    for account in accounts[:_ROWS]:
        made.add_row(
            _label(account),
            Text(account.risk_level, style=_COLOURS[account.risk_level]),
            f"{account.equity:,.2f} {account.base_currency}",
            f"{account.realised_pnl:,.2f}",
            f"{account.unrealised_pnl:,.2f}",
            f"{account.fees:,.2f}",
            f"{account.drawdown:.2%}",
            _positions(account),
        )
    return made


def _label(account: AccountStatus) -> str:
    """Return a name that fits: of a simulation's account, the end of it."""
    name = account.account_id
    return name if account.simulation_id is None or len(name) <= _LABEL else f"…{name[-_LABEL:]}"


def _positions(account: AccountStatus) -> str:
    held = [f"{each.symbol} {format_decimal(each.quantity)}" for each in account.positions if each.quantity]
    return ", ".join(held) or "none"


def _decisions(board: Dashboard) -> RenderableType:
    counts = board.counts.data
    if counts is None:
        return _unavailable("decisions", board.counts)
    reasons = ", ".join(f"{reason} {number}" for reason, number in counts.denied_by_reason.items())
    whose = f"simulation {board.simulation_id}" if board.simulation_id else "live accounts"
    made = Table("approved", "denied", "reasons", "trades", "days", title=f"decisions, {whose}", title_justify="left")
    made.add_row(str(counts.approved), str(counts.denied), reasons or "none", str(counts.trades), str(counts.rollups))
    return made


def _feeds(board: Dashboard) -> RenderableType:
    feeds = board.feeds.data
    if feeds is None:
        return _unavailable("feeds", board.feeds)
    made = Table("source", "rows", "warnings", "critical", "newest event", title="feeds", title_justify="left")
    for feed in feeds[:_ROWS]:
        newest = f"{feed.last_ts_event:%Y-%m-%d %H:%M:%S}" if feed.last_ts_event else "none"
        made.add_row(feed.source, str(feed.rows), str(feed.warning), str(feed.critical), newest)
    return made


def _trades(board: Dashboard) -> RenderableType:
    trades = board.trades.data
    if trades is None:
        return _unavailable("trades", board.trades)
    made = Table(
        "time", "strategy", "symbol", "side", "quantity", "price", "realised", "confidence",
        title="newest trades", title_justify="left",
    )  # fmt: skip
    for trade in trades[:_ROWS]:
        made.add_row(
            f"{trade.ts_event:%y-%m-%d %H:%M}",
            trade.strategy_id,
            trade.symbol,
            trade.side,
            format_decimal(trade.quantity),
            f"{trade.price:,.2f}",
            f"{trade.realised_pnl:,.2f}",
            f"{trade.telemetry.calibrated_confidence:.3f}" if trade.telemetry else "none",
        )
    return made


def _ledger(board: Dashboard) -> RenderableType:
    ledger, models = board.ledger.data, board.models.data
    if ledger is None:
        return _unavailable("ledger", board.ledger)
    champions = [f"{model.name} {model.version}" for model in models or [] if "champion" in model.aliases]
    model = ", ".join(champions) or (board.models.unavailable or "no champion")
    return Text(f"ledger {ledger.state}, {ledger.trades} trades, {ledger.rollups} roll-ups; champion: {model}")


def _unavailable(what: str, section: Section[T]) -> RenderableType:
    return Text(f"{what} unavailable: {section.unavailable}", style="red")
