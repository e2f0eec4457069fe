"""Messages of Binance's futures streams: bookTicker, trade, depthUpdate, and the snapshot of a book from its REST API.

Fields: `E` when it was sent and `T` when it happened, in ms; `s` symbol; of a trade `t` id, `p` price, `q` quantity,
`m` whether the buyer was the maker, `X` its kind (anything but MARKET is no trade of the market's); of a best quote `u`
update id, `b B a A` bid and ask with their quantities; of an update `U u` its first and last id, `pu` the last id of
the one before, `b a` levels. Ids of trades follow each other in the recorded data; no documentation says they must.
"""

import re
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Final
from zlib import crc32

import orjson

from services.marketdata.core.stream.messages import (
    BadMessage,
    DepthSnapshot,
    DepthUpdate,
    Message,
    Quote,
    Side,
    Stream,
    Trade,
)

# A plain decimal that fits an amount; a sign is let through, as it is for the checks to find.
_NUMBER = r"-?[0-9]{1,18}(?:\.[0-9]{1,10})?"
_two_numbers = re.compile(rf"{_NUMBER} {_NUMBER}").fullmatch
_four_numbers = re.compile(rf"{_NUMBER} {_NUMBER} {_NUMBER} {_NUMBER}").fullmatch
_numbers = re.compile(rf"{_NUMBER}(?: {_NUMBER})*").fullmatch
_symbol = re.compile(r"[A-Z0-9][A-Z0-9._:\-/]{0,31}").fullmatch
_MOST_LEVELS = 5_000
_BIGGEST = 2**63
# The last millisecond of the year 9999.
_LATEST_MS = 253_402_300_799_999


def parse_message(received_ns: int, payload: bytes | str, snapshot_symbol: str) -> Message | BadMessage:
    """Return what a payload says, or why it says nothing; never raises.

    A snapshot does not name its instrument: it is taken for one of `snapshot_symbol`.
    """
    stream: Stream | None = None
    try:
        decoded = orjson.loads(payload)
        data = decoded.get("data", decoded)
        kind = data.get("e")
        if kind in _STREAMS:
            stream = _STREAMS[kind]
            return _PARSERS[kind](received_ns, data)
        if kind is None and "lastUpdateId" in data:
            stream = Stream.DEPTH
            return _snapshot(received_ns, data, snapshot_symbol)
    except orjson.JSONDecodeError as error:
        return BadMessage(f"not JSON: {error}")
    except KeyError as error:
        return BadMessage(f"{error.args[0]} is missing", stream)
    except (TypeError, ValueError, AttributeError) as error:
        return BadMessage(f"a field is of the wrong kind: {str(error)[:200]}", stream)
    return BadMessage(f"neither bookTicker, trade, depthUpdate nor a snapshot: {str(kind)[:40]!r}")


def _trade(received_ns: int, data: dict[str, Any]) -> Trade:
    price, quantity, buyer_was_maker, kind = data["p"], data["q"], data["m"], data.get("X", _MARKET)
    if not _two_numbers(price + " " + quantity):
        raise ValueError("p or q is not a plain number")
    if type(buyer_was_maker) is not bool or type(kind) is not str:
        raise ValueError("m is neither true nor false, or X no text")
    sent, happened, symbol, trade_id = _headed(data, data["t"])
    return Trade(
        received_ns,
        sent,
        happened,
        symbol,
        trade_id,
        float(price),
        float(quantity),
        price,
        quantity,
        not buyer_was_maker,
        kind == _MARKET,
    )


def _quote(received_ns: int, data: dict[str, Any]) -> Quote:
    texts = bid, bid_quantity, ask, ask_quantity = data["b"], data["B"], data["a"], data["A"]
    if not _four_numbers(" ".join(texts)):
        raise ValueError("b, B, a or A is not a plain number")
    sent, happened, symbol, update_id = _headed(data, data["u"])
    return Quote(
        received_ns,
        sent,
        happened,
        symbol,
        update_id,
        float(bid),
        float(bid_quantity),
        float(ask),
        float(ask_quantity),
        texts,
    )


def _update(received_ns: int, data: dict[str, Any]) -> DepthUpdate:
    bids, said_of_bids = _side(data["b"])
    asks, said_of_asks = _side(data["a"])
    sent, happened, symbol, last_id = _headed(data, data["u"])
    return DepthUpdate(
        received_ns,
        sent,
        happened,
        symbol,
        _id(data["U"]),
        last_id,
        _id(data["pu"]),
        bids,
        asks,
        crc32(f"{said_of_bids}/{said_of_asks}".encode()),
    )


def _snapshot(received_ns: int, data: dict[str, Any], symbol: str) -> DepthSnapshot:
    sent, happened, _, last_id = _headed({"E": data["E"], "T": data["T"], "s": symbol}, data["lastUpdateId"])
    return DepthSnapshot(received_ns, sent, happened, symbol, last_id, _side(data["bids"])[0], _side(data["asks"])[0])


def _side(levels: Any) -> tuple[Side, str]:
    """Return one side, and its texts in one; a level is a list of two texts."""
    if type(levels) is not list or len(levels) > _MOST_LEVELS:
        raise ValueError(f"a side is no list of at most {_MOST_LEVELS} levels")
    if not levels:
        return Side([], [], []), ""
    if set(map(type, levels)) != {list} or set(map(len, levels)) != {2}:
        raise ValueError("a level is not a price and a quantity")
    joined = " ".join(chain.from_iterable(levels))
    values = joined.split(" ")
    if len(values) != 2 * len(levels) or not _numbers(joined):
        raise ValueError("a price or quantity of a level is not a plain number")
    numbers = list(map(float, values))
    return Side(values, numbers[::2], numbers[1::2]), joined


def _headed(data: dict[str, Any], number: Any) -> tuple[int, int, str, int]:
    """Return the time of sending, that of the event, the symbol and an id, all checked."""
    sent, happened, symbol = data["E"], data["T"], data["s"]
    if type(symbol) is not str or not _symbol(symbol):
        raise ValueError(f"{str(symbol)[:40]!r} is not a symbol")
    if type(sent) is not int or type(happened) is not int:
        raise ValueError("E or T is not a whole number")
    if not (0 < sent <= _LATEST_MS and 0 < happened <= _LATEST_MS):
        raise ValueError("E or T is not milliseconds since 1970")
    return sent, happened, symbol, _id(number)


def _id(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _BIGGEST:
        raise ValueError(f"{str(value)[:40]!r} is not an id")
    return value


_MARKET = "MARKET"
_STREAMS: Final[Mapping[str, Stream]] = {
    "bookTicker": Stream.QUOTES,
    "trade": Stream.TRADES,
    "depthUpdate": Stream.DEPTH,
}
_PARSERS: Final[Mapping[str, Callable[[int, dict[str, Any]], Message]]] = {
    "bookTicker": _quote,
    "trade": _trade,
    "depthUpdate": _update,
}
