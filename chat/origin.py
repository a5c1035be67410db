"""Where a connection comes from: its address, its Origin, and what it shows to say who it is."""

from __future__ import annotations

import ipaddress
import re
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, parse_cookie
from django.http.request import split_domain_port, validate_host

from chat.errors import EventError
from chat.services.people import Claim

SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
PORTS = {"http": "80", "https": "443"}

Origin = tuple[str, str, str]  #: scheme, host, port
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Handshake:
    """The request that opened a WebSocket, as its ASGI scope tells it."""

    def __init__(self, scope: dict[str, Any]) -> None:
        self._headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            # Joined, a repeated Origin or Host is none, as it should be.
            joint = "; " if key == "cookie" else ", "
            self._headers[key] = f"{self._headers[key]}{joint}{text}" if key in self._headers else text
        self._peer = (scope.get("client") or ("",))[0] or ""
        self._scheme = SCHEMES.get(scope.get("scheme") or "ws", "http")  # Daphne tells none

    def claim(self) -> Claim | None:
        """What says who is speaking; None where nothing does.

        A token decides, and then the Origin doesn't matter, since no browser sends one by
        itself. A session cookie it does send, from a page of any site, so that this counts
        only with the Origin of a page of ours. Raises `forbidden` for one from elsewhere.
        """
        kind, _, token = self._header("authorization").partition(" ")
        if kind.lower() == "bearer":
            return Claim("token", token.strip())
        session = parse_cookie(self._header("cookie")).get(settings.SESSION_COOKIE_NAME, "")
        if not session:
            return None
        if not self.origin_allowed():
            raise EventError("forbidden", "Pages of that origin may not connect with your session.")
        # A key of Django's, or the database may choke on it, for all that come in with this one.
        return Claim("session", session) if re.fullmatch("[a-z0-9]{8,40}", session) else None

    def origin_allowed(self) -> bool:
        """Whether scheme, host and port of the Origin are the site's own or in ALLOWED_ORIGINS."""
        origin = parse_origin(self._header("origin"))
        return origin is not None and (
            origin == self._own_origin() or origin in map(parse_origin, settings.ALLOWED_ORIGINS)
        )

    @property
    def origin(self) -> str | None:
        """The Origin, where `origin_allowed`."""
        return self._header("origin") if self.origin_allowed() else None

    @property
    def address(self) -> str:
        """The client's address: the nearest that isn't a trusted proxy's.

        Whoever has one address of an IPv6 network of 64 bits has all of them, so that the
        network stands for it.
        """
        address = self._peer
        hops = self._header("x-forwarded-for").split(",")
        while hops and _is_trusted(address):
            address = hops.pop().strip() or address
        parsed = _parse_address(address)
        if isinstance(parsed, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        return str(parsed or self._peer)

    def _own_origin(self) -> Origin | None:
        origin = parse_origin(f"{self._own_scheme()}://{self._header('host')}")
        return origin if origin is not None and validate_host(origin[1], settings.ALLOWED_HOSTS) else None

    def _own_scheme(self) -> str:
        if _is_trusted(self._peer):
            nearest = self._header("x-forwarded-proto").rpartition(",")[2].strip().lower()
            return SCHEMES.get(nearest, self._scheme)
        return self._scheme

    def _header(self, name: str) -> str:
        return self._headers.get(name, "")


def client_address(request: HttpRequest) -> str:
    """The address for which wrong passwords are counted (see AXES_CLIENT_IP_CALLABLE)."""
    peer = {"client": (request.META.get("REMOTE_ADDR", ""), 0), "headers": []}
    return Handshake(getattr(request, "scope", peer)).address.partition("/")[0]


def parse_origin(origin: str) -> Origin | None:
    """None where it isn't scheme, host and perhaps a port and nothing else, as with `null`."""
    scheme, _, rest = origin.partition("://")
    host, port = split_domain_port(rest)
    if scheme not in PORTS or not host:
        return None
    return scheme, host, port or PORTS[scheme]


def _is_trusted(address: str) -> bool:
    parsed = _parse_address(address)
    return parsed is not None and any(parsed in each for each in _networks(tuple(settings.TRUSTED_PROXIES)))


@cache
def _networks(networks: tuple[str, ...]) -> list[Network]:
    return [ipaddress.ip_network(each) for each in networks]


def _parse_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
