"""A small exchange on loopback that answers as Binance does, and fails on demand."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


class Exchange:
    """Answers from what it holds; `fault` is what goes wrong with every request but those of the markets.

    `faults` of a path go before it, one for each request.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.fault = ""
        self.faults: dict[str, list[str]] = {}
        self.retry_after: str | None = "7"
        self.calls: Counter[str] = Counter()
        self.queries: list[tuple[str, dict[str, str]]] = []
        # Rows as the exchange writes them: numbers as text, with the zeros it pads them with.
        self.trades: list[dict[str, Any]] = []
        self.funding: list[dict[str, Any]] = []
        self.bars: dict[str, list[list[Any]]] = {}
        paths = {
            "/api/v3/exchangeInfo": self._markets,
            "/fapi/v1/exchangeInfo": self._swaps,
            "/api/v3/time": self._time,
            "/api/v3/klines": self._klines,
            "/fapi/v1/klines": self._klines,
            "/api/v3/aggTrades": self._trades,
            "/api/v3/depth": self._depth,
            "/fapi/v1/fundingRate": self._funding,
        }
        self.app = Starlette(routes=[Route(path, self._faulty(path, answer)) for path, answer in paths.items()])

    def add_bars(
        self, first: datetime, count: int, interval: str = "1m", length: timedelta = timedelta(minutes=1)
    ) -> None:
        rows = self.bars.setdefault(interval, [])
        for number in range(count):
            start = first + number * length
            price = f"{42000 + number % 100}.10000000"
            high, low = f"{42001 + number % 100}.20000000", f"{41999 + number % 100}.30000000"
            rows.append(
                [ms(start), price, high, low, price, "1.00000001", ms(start + length) - 1, "9.0", 7, "1", "1", "0"]
            )

    def add_trade(self, number: int, at: datetime, price: str = "42000.10000000", sell: bool = False) -> None:
        self.trades.append(
            {"a": number, "p": price, "q": "0.00100000", "f": 1, "l": 1, "T": ms(at), "m": sell, "M": True}
        )

    def _faulty(self, path: str, answer: Any) -> Any:
        async def route(request: Request) -> Response:
            self.calls[path] += 1
            self.queries.append((path, dict(request.query_params)))
            waiting = self.faults.get(path)
            fault = waiting.pop(0) if waiting else ("" if path.endswith("exchangeInfo") else self.fault)
            if fault == "hang":
                await asyncio.sleep(60)
            if fault == "slow":
                await asyncio.sleep(0.2)
            if fault == "500":
                return JSONResponse({"code": -1000, "msg": "An unknown error occurred"}, 500)
            if fault == "429":
                headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
                return JSONResponse({"code": -1003, "msg": "Too many requests; current limit..."}, 429, headers)
            if fault == "malformed":
                return Response('[[1499040000000,"0.0163', media_type="application/json")
            if fault == "html":
                return PlainTextResponse("<html>maintenance</html>", media_type="text/html")
            found = answer(request.query_params)
            if fault == "empty":
                found = []
            if fault == "reversed":
                found = list(reversed(found))
            if fault == "one bad row":
                found[0][1] = "NaN"
            if fault == "all bad":
                found = [[each[0], "x", None, "", "1", "1"] for each in found]
            # As an exchange sends it, and not as a client that reads floats would.
            return Response(json.dumps(found), media_type="application/json")

        return route

    def _time(self, _: Any) -> Any:
        return {"serverTime": ms(self.now)}

    def _klines(self, query: Any) -> Any:
        start, limit = int(query.get("startTime", 0)), int(query.get("limit", 500))
        rows = [row for row in self.bars.get(query["interval"], []) if row[0] >= start]
        end = query.get("endTime")
        return [row for row in rows if end is None or row[0] <= int(end)][:limit]

    def _trades(self, query: Any) -> Any:
        start, limit = int(query.get("startTime", 0)), int(query.get("limit", 500))
        return [row for row in self.trades if row["T"] >= start][:limit]

    def _depth(self, query: Any) -> Any:
        levels = int(query.get("limit", 100))
        bids = [[f"{42000 - at}.10000000", "0.30000000"] for at in range(levels)]
        asks = [[f"{42001 + at}.20000000", "0.10000000"] for at in range(levels)]
        return {"lastUpdateId": 1027024, "bids": bids, "asks": asks}

    def _funding(self, query: Any) -> Any:
        start = int(query.get("startTime", 0))
        return [row for row in self.funding if row["fundingTime"] >= start]

    def _markets(self, _: Any) -> Any:
        common = {
            "status": "TRADING",
            "baseAsset": "BTC",
            "quoteAsset": "USDT",
            "baseAssetPrecision": 8,
            "quoteAssetPrecision": 8,
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.00", "stepSize": "0.00001"},
            ],
        }
        spot = {**common, "symbol": "BTCUSDT", "isSpotTradingAllowed": True, "permissions": ["SPOT"], "orderTypes": []}
        return {"timezone": "UTC", "serverTime": ms(self.now), "symbols": [spot]}

    def _swaps(self, _: Any) -> Any:
        found = self._markets(None)
        del found["symbols"][0]["isSpotTradingAllowed"]
        found["symbols"][0] |= {
            "pair": "BTCUSDT",
            "contractType": "PERPETUAL",
            "marginAsset": "USDT",
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "pricePrecision": 2,
            "quantityPrecision": 3,
        }
        return found
