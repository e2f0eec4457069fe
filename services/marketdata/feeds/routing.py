"""By which way a host is reached: directly, through a proxy, through a VPN; never past a VPN that is down."""

import fcntl
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from services.marketdata.settings import FeedSettings

# Ends of the names of hosts in mainland China that market data come from.
MAINLAND = (
    "cn",
    "10jqka.com",
    "baidu.com",
    "eastmoney.com",
    "gtimg.com",
    "jrj.com",
    "joinquant.com",
    "qq.com",
    "ricequant.com",
    "sinajs.com",
    "sohu.com",
    "tushare.pro",
    "xueqiu.com",
)
# What Linux calls the questions for an interface's flags and its address, and the flags asked for.
_FLAGS, _ADDRESS = 0x8913, 0x8915
_UP, _RUNNING = 0x1, 0x40
_ADDRESS_AT = slice(20, 24)


class RouteError(OSError):
    """The way a host must be reached by is not there."""


@dataclass(frozen=True, slots=True)
class Route:
    """A proxy's URL or None, and the interface that sockets are bound to or None."""

    proxy: str | None = None
    interface: str | None = None

    def __str__(self) -> str:
        ways = [f"proxy {without_password(self.proxy)}"] if self.proxy else []
        ways += [f"VPN {self.interface}"] if self.interface else []
        return ", ".join(ways) or "direct"


DIRECT = Route()


@dataclass(frozen=True, slots=True)
class Routing:
    """The rules: what is on this machine is reached directly, so are mainland hosts where `china_direct`; the rest by
    the proxy and the VPN, each where there is one. The proxy itself is reached through the VPN.
    """

    proxy: str | None = None
    vpn: str | None = None
    china_direct: bool = False
    mainland: Sequence[str] = MAINLAND

    def route(self, host: str) -> Route:
        """Return the way to a host."""
        if _on_this_machine(host) or (self.china_direct and self.is_mainland(host)):
            return DIRECT
        return Route(self.proxy, self.vpn)

    def is_mainland(self, host: str) -> bool:
        """Return whether a host is one of mainland China, by the end of its name."""
        name = host.lower().rstrip(".")
        return any(
            name == end or name.endswith(f".{end}") for end in (each.lower().lstrip(".") for each in self.mainland)
        )


def routing_of(settings: FeedSettings) -> Routing:
    """Return the rules the settings make."""
    return Routing(settings.proxy_url, settings.vpn, settings.china_direct, (*MAINLAND, *settings.mainland_hosts))


def interface_address(name: str) -> str:
    """Return the IPv4 address of a network interface that is up. Raises RouteError."""
    if not sys.platform.startswith("linux"):
        raise RouteError(f"a VPN by its interface ({name}) needs Linux")
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            flags = struct.unpack_from("H", fcntl.ioctl(asking, _FLAGS, request), 16)[0]
        except OSError:
            raise RouteError(f"the VPN's interface {name} does not exist") from None
        if flags & (_UP | _RUNNING) != _UP | _RUNNING:
            raise RouteError(f"the VPN's interface {name} is down")
        try:
            return socket.inet_ntoa(fcntl.ioctl(asking, _ADDRESS, request)[_ADDRESS_AT])
        except OSError:
            raise RouteError(f"the VPN's interface {name} has no address") from None


def open_socket(family: int, kind: int, protocol: int, interface: str | None) -> socket.socket:
    """Return a socket that goes out by an interface or not at all. Raises RouteError, OSError.

    An address of the interface alone would not do: Linux sends from any address by the way of its routing table.
    """
    if interface is not None:
        interface_address(interface)
    made = socket.socket(family, kind, protocol)
    if interface is not None:
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        except OSError as error:
            made.close()
            raise RouteError(f"a socket cannot be bound to the VPN's interface {interface}: {error.strerror}") from None
    return made


def without_password(url: str) -> str:
    """Return a URL as it may be shown: without a user and a password."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def _on_this_machine(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
