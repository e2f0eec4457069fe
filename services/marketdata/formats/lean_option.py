"""LEAN minute option files of one underlying and day, made into states of the whole chain.

Three zips, one member a contract, the contract in the member's name: quotes
(`milliseconds,bid open,high,low,close,bid size,ask open,high,low,close,ask size`), trades (as of equities) and
open interest (`milliseconds,contracts`). Prices and strikes are times 10,000. A row stands until the contract's
next one; a side left empty was not quoted. A state is dated at the end of its minute and holds
nothing later; the spot is the close of the underlying's last trade bar that had ended by then.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.marketdata.formats.chain import total_open_interest
from services.marketdata.formats.dataset import BadRow, Report, losing
from services.marketdata.formats.lean import local_moment, parse_day, price, session_of
from services.marketdata.formats.lean_bars import EQUITY_EXPONENT, read_day
from services.marketdata.formats.reading import Line, member_lines, number, opened_zip, why
from shared.schemas.marketdata import INTERVAL_LENGTH, MarketState, OptionQuote, OptionRight

_MINUTE = INTERVAL_LENGTH["1m"]
_CONTRACT = re.compile(r"^\d{8}_[a-z0-9.]+_minute_[a-z]+_[a-z]+_(call|put)_(\d+)_(\d{8})\.csv$")


class Contract(NamedTuple):
    """One option of the chain; sorts by expiry, strike and right."""

    expiry: date
    strike: Decimal
    right: OptionRight


class _Row(NamedTuple):
    contract: Contract
    kind: str
    line: Line


@dataclass(frozen=True, slots=True)
class OptionDay:
    """The files of one day: quotes must be there, the others may be missing."""

    session: date
    quotes: Path
    trades: Path | None
    open_interest: Path | None
    underlying: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files that are there."""
        return tuple(p for p in (self.quotes, self.trades, self.open_interest, self.underlying) if p is not None)


def option_days(folder: Path, underlying_folder: Path) -> list[OptionDay]:
    """Return the days of a folder of option zips, oldest first, each with its underlying's trades if found."""
    days = []
    for quotes in sorted(folder.glob("*_quote_*.zip"), key=session_of):
        underlying = underlying_folder / f"{quotes.name[:8]}_trade.zip"
        days.append(
            OptionDay(
                session=session_of(quotes),
                quotes=quotes,
                trades=_if_there(folder / quotes.name.replace("_quote_", "_trade_")),
                open_interest=_if_there(folder / quotes.name.replace("_quote_", "_openinterest_")),
                underlying=_if_there(underlying),
            )
        )
    return days


def read_states(
    days: Sequence[OptionDay], *, symbol: str, zone: ZoneInfo, report: Report, every: timedelta = _MINUTE
) -> Iterator[MarketState]:
    """Yield the chain at the end of each step of `every` in which a quote or a trade came; one day in memory.

    A day with a zip that cannot be read has no chains, and that zip is reported as lost.
    """
    for day in days:
        with losing(day.files, report):
            yield from _read_day(day, symbol, zone, report, every)


def _read_day(day: OptionDay, symbol: str, zone: ZoneInfo, report: Report, every: timedelta) -> Iterator[MarketState]:
    spots = _spots(day, symbol, zone, report)
    steps: dict[datetime, list[_Row]] = defaultdict(list)
    early: list[tuple[datetime, _Row]] = []
    for kind, path, lasts in (
        ("open_interest", day.open_interest, timedelta(0)),
        ("quotes", day.quotes, _MINUTE),
        ("trades", day.trades, _MINUTE),
    ):
        for start, row in _rows(path, kind, day.session, zone, report):
            known = start + lasts
            if kind == "open_interest":
                early.append((known, row))
            else:
                steps[_step_end(known, every)].append(row)
    early.sort(key=lambda item: item[0])
    chain: dict[Contract, dict[str, Any]] = {}
    quotes: dict[Contract, OptionQuote] = {}
    spot: Decimal | None = None
    for moment in sorted(steps):
        while early and early[0][0] <= moment:
            _apply(early.pop(0)[1], chain, quotes, report)
        for row in steps[moment]:
            _apply(row, chain, quotes, report)
        while spots and spots[0][0] <= moment:
            spot = spots.pop(0)[1]
        listed = [quotes[contract] for contract in sorted(quotes)]
        yield MarketState(
            symbol=symbol,
            timestamp=moment,
            spot_price=spot,
            total_call_oi=total_open_interest(listed, OptionRight.CALL),
            total_put_oi=total_open_interest(listed, OptionRight.PUT),
            option_chain=listed,
        )


def _spots(day: OptionDay, symbol: str, zone: ZoneInfo, report: Report) -> list[tuple[datetime, Decimal]]:
    if day.underlying is None:
        return []
    bars = read_day(day.underlying, symbol=symbol, zone=zone, exponent=EQUITY_EXPONENT, report=report)
    return [(bar.ts + _MINUTE, bar.close) for bar in bars]


def _step_end(moment: datetime, every: timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + -((midnight - moment) // every) * every


def _rows(
    path: Path | None, kind: str, session: date, zone: ZoneInfo, report: Report
) -> Iterator[tuple[datetime, _Row]]:
    if path is None:
        return
    with opened_zip(path) as archive:
        for info in archive.infolist():
            contract = _contract(info.filename)
            if contract is None or not info.filename.startswith(session.strftime("%Y%m%d")):
                report(BadRow(f"{path}!{info.filename}", 0, f"the name is not that of a contract on {session}"))
                continue
            last = ""
            for line in member_lines(archive, info.filename):
                stamp = line.text.partition(",")[0]
                try:
                    start = local_moment(session, stamp, zone)
                except ValueError as error:
                    report(line.bad(str(error)))
                    continue
                if (len(stamp), stamp) <= (len(last), last):
                    report(line.bad(f"{stamp} is not later than the row before"))
                    continue
                last = stamp
                yield start, _Row(contract, kind, line)


def _contract(name: str) -> Contract | None:
    found = _CONTRACT.match(name)
    expiry = parse_day(found[3]) if found else None
    if found is None or expiry is None:
        return None
    return Contract(expiry, Decimal(found[2]).scaleb(EQUITY_EXPONENT), OptionRight(found[1][0].upper()))


def _apply(
    row: _Row, chain: dict[Contract, dict[str, Any]], quotes: dict[Contract, OptionQuote], report: Report
) -> None:
    try:
        fields = chain.get(row.contract, {}) | _FIELDS[row.kind](row.line.text.split(","))
        quote = OptionQuote(expiry=row.contract.expiry, strike=row.contract.strike, right=row.contract.right, **fields)
    except ValidationError as error:
        report(row.line.bad(why(error)))
    except ValueError as error:
        report(row.line.bad(str(error)))
    else:
        chain[row.contract] = fields
        quotes[row.contract] = quote


def _quote_fields(cells: list[str]) -> dict[str, Any]:
    _expect(cells, 11)
    return {
        "bid": price(cells[4], EQUITY_EXPONENT) if cells[4] else None,
        "bid_quantity": number(cells[5]) if cells[5] else None,
        "ask": price(cells[9], EQUITY_EXPONENT) if cells[9] else None,
        "ask_quantity": number(cells[10]) if cells[10] else None,
    }


def _trade_fields(cells: list[str]) -> dict[str, Any]:
    _expect(cells, 6)
    return {"last_price": price(cells[4], EQUITY_EXPONENT)}


def _open_interest_fields(cells: list[str]) -> dict[str, Any]:
    _expect(cells, 2)
    return {"open_interest": number(cells[1])}


_FIELDS = {"quotes": _quote_fields, "trades": _trade_fields, "open_interest": _open_interest_fields}


def _expect(cells: list[str], columns: int) -> None:
    if len(cells) != columns:
        raise ValueError(f"{len(cells)} columns instead of {columns}")


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None
