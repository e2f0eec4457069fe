"""How fast a journal is folded, how soon a start is over with a snapshot, and how much memory the state takes.

Events per second as ratios to reading the rows alone, in one run: `python -m benchmarks.replay [--events N]`. The
journal is that of accounts of 50 positions each: of ten rows one is of marks, the others are orders, fills and ends
in turn, which the engine's own core decided. With `--events 10000000` the start after ten million events is measured;
the same rows are then written again and again, chained anew, as deciding on so many would take an hour.
"""

import argparse
import asyncio
import gc
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import psycopg

from benchmarks._servers import servers
from services.risk.core.bodies import Quote
from services.risk.core.chain import Row, Tip, event_of, follow, link
from services.risk.core.commands import ApplyFill, Command, OpenAccount, PlaceOrder, RollDay, SetInstruments, SetMarks
from services.risk.core.evolve import evolve
from services.risk.core.outcome import Event, Refused
from services.risk.core.state import FirmState
from services.risk.core.step import step
from services.risk.core.translate import order_terms
from services.risk.core.units import micros, units
from services.risk.replica import Replica
from services.risk.snapshots import restore
from services.risk.snapshotter import make
from services.risk.store import follow_pages
from shared.database import Database
from shared.schemas.accounts import AccountCreate, DayRoll
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.limits import Limits
from shared.schemas.orders import Fill, Order, Side

POSITIONS = 50
START_OF_ALL = Tip()
# A snapshot is due after so many: at most these, and what came while it was made, are folded at a start.
SINCE = 50_000
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
LIMITS = Limits(
    max_position_fraction=1,
    max_gross_exposure=100,
    max_asset_class_fraction=100,
    max_messages_per_second=10**9,
    max_message_burst=10**9,
    max_mark_age_seconds=86_400,
)


def symbols() -> list[str]:
    return [f"S{number:02}" for number in range(POSITIONS)]


def every_mark(now: datetime) -> SetMarks:
    return SetMarks(None, tuple(Quote(each, units(Decimal(100)), micros(now)) for each in symbols()))


def commands(accounts: int, rounds: int, marks: bool = True) -> Iterator[tuple[Command, datetime]]:
    """Yield what happens on a desk: marks, orders, fills, and every so often a new day."""
    now = START
    instruments = tuple(
        Instrument(symbol=each, currency="USD", asset_class=AssetClass.EQUITY, tick_size=Decimal("0.01"))
        for each in symbols()
    )
    yield SetInstruments(instruments, "bench"), now
    for number in range(accounts):
        opened = AccountCreate(
            account_id=f"a{number}",
            base_currency="USD",
            initial_cash=Decimal(10**9),
            limits=LIMITS,
            session_date=date(2026, 3, 2),
        )
        yield OpenAccount(opened, "bench"), now
    yield every_mark(now), now
    for number in range(rounds):
        now += timedelta(milliseconds=10)
        symbol, account = symbols()[number % POSITIONS], f"a{number // POSITIONS % accounts}"
        if marks and number % 4 == 0:
            price = units(Decimal(100 + number % 7))
            yield SetMarks(None, (Quote(symbol, price, micros(now)),)), now
        side = Side.BUY if number // POSITIONS % 3 else Side.SELL
        order = Order(client_order_id=f"o{number}", strategy_id="bench", symbol=symbol, side=side, quantity=Decimal(10))
        yield PlaceOrder(account, order_terms(order), "bench"), now
        fill = Fill(
            trade_id=f"t{number}",
            client_order_id=f"o{number}",
            quantity=Decimal(10),
            price=Decimal(100),
            ts_event=now,
        )
        yield ApplyFill(account, fill, "bench"), now
        if number % 20_000 == 19_999:
            day = date(2026, 3, 2) + timedelta(days=number // 20_000 + 1)
            for each in range(accounts):
                yield RollDay(f"a{each}", DayRoll(next_session_date=day), "bench"), now
            now = datetime.combine(day, START.timetz())
            yield every_mark(now), now


def played(accounts: int, rounds: int, marks: bool = True) -> tuple[FirmState, list[Event], float]:
    """Return the state, its events, and how many a second were decided and folded."""
    state, events = FirmState(), list[Event]()
    started = time.perf_counter()
    for command, now in commands(accounts, rounds, marks):
        found = step(state, command, micros(now))
        assert not isinstance(found, Refused), found
        events += found
    return state, events, len(events) / (time.perf_counter() - started)


def chained(events: list[Event], count: int, tip: Tip = START_OF_ALL) -> Iterator[Row]:
    for number in range(tip.seq, tip.seq + count):
        row = link(tip, events[number % len(events)], START, 1)
        tip = Tip(row.seq, row.hash)
        yield row


def store_rows(url: str, rows: Iterator[Row]) -> Tip:
    """Write rows of a journal; return where it ends."""
    last = START_OF_ALL
    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        with cursor.copy(
            "COPY risk.journal (seq, ts, epoch, account_id, kind, body, prev_hash, hash) FROM STDIN"
        ) as copy:
            for row in rows:
                copy.write_row(
                    (row.seq, row.ts, row.epoch, row.account_id, row.kind, row.body, row.prev_hash, row.hash)
                )
                last = Tip(row.seq, row.hash)
        cursor.execute("UPDATE risk.leader SET last_seq = %s", (last.seq,))
    return last


def resident() -> float:
    """Return the memory of this process in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def fold(url: str, count: int) -> None:
    database = Database(url, application_name="bench", pool_size=1)
    page = follow_pages(database)
    try:
        started, after = time.perf_counter(), 0
        while rows := await page(after, 5_000):
            after = rows[-1].seq
        reading = count / (time.perf_counter() - started)
        print(f"{'rows read':32} {reading:10,.0f} events/s  1.000", flush=True)
        replica = Replica()
        started = time.perf_counter()
        await replica.catch_up(page)
        took = time.perf_counter() - started
        print(
            f"{'read, proved and folded':32} {count / took:10,.0f} events/s  {count / took / reading:.3f}", flush=True
        )
    finally:
        await database.dispose()


def in_memory(rows: list[Row]) -> None:
    """Print what each part of a fold takes by itself."""
    started = time.perf_counter()
    assert follow(Tip(), rows)[1] is None
    proved = time.perf_counter() - started
    started = time.perf_counter()
    events = [event_of(row) for row in rows]
    read = time.perf_counter() - started
    state = FirmState()
    started = time.perf_counter()
    for seq, event in enumerate(events, start=1):
        evolve(state, event, seq)
    folded = time.perf_counter() - started
    for name, took in (("chain proved", proved), ("bodies read", read), ("state folded", folded)):
        print(f"{name:32} {len(rows) / took:10,.0f} events/s  {took / len(rows) * 1e6:.1f} us each", flush=True)


async def start(url: str, what: str) -> None:
    """Measure how long a process needs to know all of the journal."""
    database = Database(url, application_name="bench", pool_size=1)
    try:
        started = time.perf_counter()
        replica = Replica(partial(restore, database, None))
        await replica.catch_up(follow_pages(database))
        print(f"{what:32} {time.perf_counter() - started:10.2f} s", flush=True)
    finally:
        await database.dispose()


def memory(accounts: int) -> None:
    before = resident()
    state, events, _ = played(accounts, accounts * POSITIONS, marks=False)
    del events
    gc.collect()
    held = sum(len(each.positions) for each in state.accounts.values())
    print(f"{f'{accounts} accounts, {held:,} positions':32} {resident() - before:10.0f} MiB more", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    count = parser.parse_args().events
    memory(1_000)
    _, events, speed = played(10, 40_000)
    print(f"{'decided and folded':32} {speed:10,.0f} events/s", flush=True)
    in_memory(list(chained(events, min(count, len(events)))))
    with servers("risk") as found:
        url = found.database_url
        tip = store_rows(url, chained(events, count))
        asyncio.run(fold(url, count))
        made = asyncio.run(make(url, None))
        print(f"{'snapshot':32} {made['bytes']:10,} bytes, made in {made['seconds']} s", flush=True)
        asyncio.run(start(url, "start from it"))
        store_rows(url, chained(events, SINCE, tip))
        asyncio.run(start(url, f"start from it and {SINCE:,} rows"))


if __name__ == "__main__":
    main()
