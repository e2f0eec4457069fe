"""Make data/sample out of the full files: `python data/make_sample.py FULL_DATA_FOLDER [OUTPUT_FOLDER]`.

What is small is copied byte for byte. The option zips keep the contracts near the money of the next expiries, the
Binance file keeps four days, the stream its first messages, the indices their first days; rows are unchanged.
Archives carry fixed times, so that the same input and the same zlib give the same bytes.
"""

import gzip
import io
import shutil
import sys
import zipfile
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

NIFTY = "lean/index/india/minute/nifty50/201901{day:02d}_trade.zip"
GOOG_EQUITY = "lean/equity/usa/minute/goog/20151224_trade.zip"
GOOG_OPTIONS = "lean/option/usa/minute/goog/20151224_{kind}_american.zip"
BTCUSDT = "binance_BTCUSDT_1m_2024-12.csv.gz"
GOOG_QUOTES = "lean/equity/usa/minute/goog/20151224_quote.zip"
BTCUSD_DAYS = "lean/crypto/coinbase/daily/btcusd_trade.zip"
BTCUSD_FUNDING = "lean/cryptofuture/binance/margin_interest/btcusd.csv"
STREAM = "binance_futures_btcusdt_stream_20240808.jsonl.gz"
SP500 = "sp500_daily_1999_2018.csv"
VIX = "vix_daily_2014_2019.csv"

LAST_EXPIRY = "20160115"
STRIKES = (705, 795)
FIRST_DAY, LAST_DAY = date(2024, 12, 2), date(2024, 12, 5)
COPIED = [GOOG_EQUITY, GOOG_QUOTES, BTCUSD_DAYS, BTCUSD_FUNDING]
MESSAGES = 2_500
DAYS = 250
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def make(source: Path, target: Path) -> None:
    """Write the sample of `source` to `target`."""
    for name in [NIFTY.format(day=day) for day in (1, 2, 3, 4)] + COPIED:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    for kind in ("quote", "trade", "openinterest"):
        name = GOOG_OPTIONS.format(kind=kind)
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        _trim_options(source / name, target / name)
    _trim_klines(source / BTCUSDT, target / BTCUSDT)
    with gzip.open(source / STREAM, "rt", encoding="utf-8", newline="") as full:
        _pack(list(islice(full, MESSAGES)), target / STREAM)
    for name in (SP500, VIX):
        with (source / name).open(encoding="utf-8", newline="") as full:
            (target / name).write_text("".join(islice(full, 1 + DAYS)), encoding="utf-8", newline="")


def _trim_options(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as full, zipfile.ZipFile(target, "w") as small:
        for name in sorted(full.namelist()):
            strike, expiry = name.removesuffix(".csv").split("_")[-2:]
            if expiry <= LAST_EXPIRY and STRIKES[0] <= int(strike) / 10_000 <= STRIKES[1]:
                info = zipfile.ZipInfo(name, date_time=_ZIP_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.create_system = 3
                info.external_attr = 0o644 << 16
                small.writestr(info, full.read(name), compresslevel=9)


def _trim_klines(source: Path, target: Path) -> None:
    with gzip.open(source, "rt", encoding="utf-8", newline="") as full:
        header, *rows = full.readlines()
    kept = [row for row in rows if FIRST_DAY <= _start(row).date() <= LAST_DAY]
    _pack([header, *kept], target)


def _pack(lines: list[str], target: Path) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as small:
        small.write("".join(lines).encode())
    target.write_bytes(packed.getvalue())


def _start(row: str) -> datetime:
    close = datetime.fromisoformat(row.strip().rpartition(",")[2])
    return (close + timedelta(milliseconds=1) - timedelta(minutes=1)).astimezone(UTC)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    make(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent / "sample")
