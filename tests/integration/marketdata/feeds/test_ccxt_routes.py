"""By which way an exchange is reached: over TLS, through a proxy that resolves its name, by a VPN or not at all."""

import socket
import sys
import threading
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.marketdata.feeds.ccxt_connector import CcxtConnector, CcxtPlan
from services.marketdata.feeds.ccxt_exchange import Reach, address_of
from services.marketdata.feeds.errors import Unreachable, Unsupported
from services.marketdata.feeds.routing import Route, Routing
from shared.clock import ManualClock
from tests.harness import serving
from tests.integration.marketdata.feeds.exchange import Exchange
from tests.integration.network.servers import Answer, Authority, copy, listening, relaying

pytest.importorskip("ccxt", reason="ccxt is an extra: requirements/feeds.in")
pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 2, 9, 30, 30, tzinfo=UTC)
PLAN = CcxtPlan("binance", {"BTCUSDT": "BTC/USDT"})
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a VPN by its interface needs Linux")


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(NOW)


@pytest.fixture
async def url(exchange: Exchange) -> AsyncIterator[str]:
    async with serving(exchange.app) as url:
        yield url


def onward(port: int) -> Answer:
    """Return what hands a connection on to a port here: with TLS before it, a server of https."""

    def answer(made: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as there:
            back = threading.Thread(target=copy, args=(there, made), daemon=True)
            back.start()
            copy(made, there)
            back.join(5)

    return answer


async def opened(reach: Reach) -> None:
    connector = CcxtConnector("ccxt.binance", PLAN, reach, ManualClock(NOW))
    try:
        await connector.open()
    finally:
        await connector.close()


async def test_through_a_proxy_that_resolves_the_name_and_wants_a_login(
    exchange: Exchange, url: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with ExitStack() as stack:
        context = authority.context(host="exchange.invalid")
        there = stack.enter_context(listening(onward(int(url.rpartition(":")[2])), context))
        answer, asked = relaying({"exchange.invalid": there}, b64encode(b"desk:s3cret").decode())
        proxy = stack.enter_context(listening(answer))
        routing = Routing(f"http://desk:s3cret@127.0.0.1:{proxy}")
        await opened(Reach(5, "https://exchange.invalid", routing.route, authority.file))
        assert asked == ["CONNECT exchange.invalid:443"]
        assert exchange.calls["/api/v3/exchangeInfo"] == 1
        # Without trust in its authority it is not reached.
        with pytest.raises(Unreachable):
            await opened(Reach(5, "https://exchange.invalid", routing.route))


async def test_a_proxy_that_refuses_is_named(exchange: Exchange) -> None:
    answer, _ = relaying({}, refuse="403 Forbidden")
    with listening(answer) as proxy:
        routing = Routing(f"http://desk:s3cret@127.0.0.1:{proxy}")
        with pytest.raises(Unreachable, match="Proxy") as caught:
            await opened(Reach(2, "https://exchange.invalid", routing.route))
    assert "s3cret" not in str(caught.value)
    assert exchange.calls.total() == 0


@linux
async def test_without_its_vpn_nothing_reaches_the_exchange(exchange: Exchange, url: str) -> None:
    with pytest.raises(Unreachable):
        await opened(Reach(2, url, lambda _: Route(interface="wg-none")))
    assert exchange.calls.total() == 0


@linux
async def test_through_the_vpns_interface_it_is_reached(exchange: Exchange, url: str) -> None:
    await opened(Reach(2, url, lambda _: Route(interface="lo")))
    assert exchange.calls.total() == 1


@pytest.mark.parametrize("reach", [Reach(1, "http://127.0.0.1:1"), Reach(1, "http://exchange.invalid")])
async def test_an_exchange_that_is_not_there(reach: Reach) -> None:
    with pytest.raises(Unreachable):
        await opened(reach)


def test_the_address_of_an_exchange_is_known_by_the_library() -> None:
    for name in ("kraken", "okx", "binance"):
        assert address_of(name).startswith("https://")
    with pytest.raises(Unsupported):
        address_of("nowhere")


async def test_the_route_is_chosen_by_the_host_of_the_exchange(url: str) -> None:
    hosts: list[str] = []

    def route(host: str) -> Route:
        hosts.append(host)
        return Route()

    await opened(Reach(2, url, route))
    assert hosts == ["127.0.0.1"]
