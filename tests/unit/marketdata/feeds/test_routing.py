"""By which way hosts are reached; the interface of a VPN is one of this machine."""

import socket
import sys

import pytest

from services.marketdata.feeds.routing import (
    DIRECT,
    Route,
    RouteError,
    Routing,
    interface_address,
    open_socket,
    routing_of,
)
from services.marketdata.settings import FeedSettings

pytestmark = pytest.mark.unit

PROXY = "http://user:hunter2@proxy.desk:3128"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a VPN by its interface needs Linux")


def test_without_a_proxy_and_a_vpn_all_is_direct() -> None:
    assert Routing().route("api.binance.com") == DIRECT


def test_with_them_all_goes_by_both_but_what_is_on_this_machine() -> None:
    routing = Routing(PROXY, "wg0")
    assert routing.route("api.binance.com") == Route(PROXY, "wg0")
    for here in ("127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"):
        assert routing.route(here) == DIRECT


@pytest.mark.parametrize(
    "host", ["hq.sinajs.cn", "push2.eastmoney.com", "web.sqt.gtimg.cn", "SSE.COM.CN", "cn.", "qq.com"]
)
def test_mainland_hosts_are_direct_where_it_is_said_and_only_there(host: str) -> None:
    assert Routing(PROXY, "wg0", china_direct=True).route(host) == DIRECT
    assert Routing(PROXY, "wg0").route(host) == Route(PROXY, "wg0")


@pytest.mark.parametrize("host", ["api.binance.com", "cn.example.com", "notqq.com", "qq.com.evil.net", "sinajs.cn.com"])
def test_a_name_that_only_looks_like_one_of_the_mainland_is_none(host: str) -> None:
    assert Routing(PROXY, "wg0", china_direct=True).route(host).interface == "wg0"


def test_hosts_can_be_added() -> None:
    settings = FeedSettings(china_direct=True, vpn="wg0", marketdata_mainland_hosts="desk-mirror.net, .other.org")
    routing = routing_of(settings)
    assert routing.route("a.desk-mirror.net") == routing.route("x.other.org") == DIRECT
    assert routing.route("hq.sinajs.cn") == DIRECT
    assert routing.route("okx.com") == Route(None, "wg0")


def test_a_route_is_shown_without_the_proxys_password() -> None:
    assert str(Route(PROXY, "wg0")) == "proxy http://proxy.desk:3128, VPN wg0"
    assert str(DIRECT) == "direct"


@linux
def test_an_interface_that_is_up_has_an_address() -> None:
    assert interface_address("lo") == "127.0.0.1"


@linux
def test_without_the_vpns_interface_no_socket_is_made() -> None:
    with pytest.raises(RouteError, match="wg-none does not exist"):
        open_socket(socket.AF_INET, socket.SOCK_STREAM, 0, "wg-none")


@linux
def test_an_interface_that_is_down_is_no_way_out() -> None:
    down = [name for _, name in socket.if_nameindex() if name.startswith(("ifb", "dummy", "sit", "tunl"))]
    if not down:
        pytest.skip("this machine has no interface that is down")
    with pytest.raises(RouteError, match=r"is down|has no address"):
        interface_address(down[0])


@linux
def test_a_socket_is_bound_to_the_interface_itself() -> None:
    with open_socket(socket.AF_INET, socket.SOCK_STREAM, 0, "lo") as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
    with open_socket(socket.AF_INET, socket.SOCK_STREAM, 0, None) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b""
