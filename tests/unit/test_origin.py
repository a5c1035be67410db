"""Who may connect with a browser's session, and whose address counts."""

from __future__ import annotations

from typing import Any

import pytest

from chat.errors import EventError
from chat.origin import Handshake, parse_origin
from chat.services.people import Claim

SESSION = "0123456789abcdefghijklmnopqrstuv"


def handshake(
    peer: str | None = "203.0.113.9", scheme: str | None = None, **headers: str | list[str]
) -> Handshake:
    pairs = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, values in headers.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    scope: dict[str, Any] = {"headers": pairs, "client": [peer, 5000] if peer else None}
    return Handshake(scope | ({"scheme": scheme} if scheme else {}))


@pytest.fixture(autouse=True)
def site(settings: Any) -> Any:
    settings.ALLOWED_HOSTS = ["chat.example.org", ".example.net", "[::1]"]
    settings.ALLOWED_ORIGINS = ["https://app.example.com", "http://localhost:3000"]
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "127.0.0.1", "::1"]
    return settings


class TestOrigins:
    @pytest.mark.parametrize(
        ("origin", "parts"),
        [
            ("http://a.example", ("http", "a.example", "80")),
            ("https://a.example", ("https", "a.example", "443")),
            ("https://a.example:8443", ("https", "a.example", "8443")),
            ("http://[::1]:8000", ("http", "[::1]", "8000")),
        ],
    )
    def test_an_origin_is_scheme_host_and_port(self, origin: str, parts: tuple[str, str, str]) -> None:
        assert parse_origin(origin) == parts

    @pytest.mark.parametrize(
        "origin",
        [
            "", "null", "a.example", "//a.example", "http:", "http://", "http:///", "ftp://a.example",
            "file://", "http://a.example/", "http://a.example/x", "http://user@a.example", "http://a.example:x",
            "http://a b", "http://a.example, http://b.example", "javascript://a.example", "http://a.example#",
            "chrome-extension://abc", "http://a.example\t", "http://[", "http://a.example:80:80",
        ],
    )  # fmt: skip
    def test_anything_else_is_none(self, origin: str) -> None:
        assert parse_origin(origin) is None

    @pytest.mark.parametrize(
        ("host", "origin", "scheme"),
        [
            ("chat.example.org", "http://chat.example.org", "ws"),
            ("chat.example.org", "http://chat.example.org", None),
            ("chat.example.org:80", "http://chat.example.org", "ws"),
            ("chat.example.org", "https://chat.example.org", "wss"),
            ("Chat.Example.org:8000", "http://chat.example.org:8000", "ws"),
            ("a.b.example.net", "http://a.b.example.net", "ws"),
            ("[::1]:8000", "http://[::1]:8000", "ws"),
            ("chat.example.org", "https://app.example.com", "ws"),
            ("elsewhere.example", "https://app.example.com", "ws"),
            ("chat.example.org", "http://localhost:3000", "wss"),
        ],
    )
    def test_the_sites_own_and_the_allowed_ones(self, host: str, origin: str, scheme: str | None) -> None:
        assert handshake(scheme=scheme, host=host, origin=origin).origin_allowed()

    @pytest.mark.parametrize(
        "origin",
        [
            "", "null", "http://chat.example.org:8001", "https://chat.example.org:8000", "http://chat.example.org",
            "https://chat.example.org", "http://chat.example.org.evil.example:8000", "http://example.org:8000",
            "http://evilchat.example.org:8000", "http://evil.example:8000", "http://evil.example?chat.example.org:8000",
            "http://chat.example.org:8000/", "http://chat.example.org:8000@evil.example",
            "http://app.example.com", "https://app.example.com:444", "https://app.example.com.evil.example",
            "https://sub.app.example.com", "http://localhost", "https://localhost:3000", "http://localhost:30000",
        ],
    )  # fmt: skip
    def test_a_foreign_one_is_refused(self, origin: str) -> None:
        shake = handshake(host="chat.example.org:8000", origin=origin, cookie=f"sessionid={SESSION}")
        assert not shake.origin_allowed()
        with pytest.raises(EventError, match="forbidden"):
            shake.claim()

    @pytest.mark.parametrize("host", ["evil.example", "", "example.org", "chat.example.org.evil.example"])
    def test_a_host_that_is_not_ours_makes_no_origin_ours(self, host: str) -> None:
        assert not handshake(host=host, origin=f"http://{host}").origin_allowed()

    def test_even_where_all_hosts_are_allowed_an_empty_one_is_not(self, site: Any) -> None:
        site.ALLOWED_HOSTS = ["*"]
        assert not handshake(host="", origin="http://").origin_allowed()
        assert handshake(host="any.example", origin="http://any.example").origin_allowed()

    def test_a_repeated_origin_or_host_is_none(self) -> None:
        ours = "http://chat.example.org"
        assert not handshake(host="chat.example.org", origin=[ours, ours]).origin_allowed()
        assert not handshake(host=["chat.example.org", "chat.example.org"], origin=ours).origin_allowed()

    def test_only_a_trusted_proxy_may_say_that_it_was_https(self) -> None:
        headers = {
            "host": "chat.example.org",
            "origin": "https://chat.example.org",
            "x_forwarded_proto": "https",
        }
        assert handshake("10.1.2.3", **headers).origin_allowed()
        assert not handshake("203.0.113.9", **headers).origin_allowed()
        assert not handshake("10.1.2.3", **{**headers, "origin": "http://chat.example.org"}).origin_allowed()


class TestClaims:
    own = {"host": "chat.example.org", "origin": "http://chat.example.org"}

    def test_a_token_decides_whatever_else_there_is(self) -> None:
        for scheme in ("Bearer", "bearer", "BEARER"):
            shake = handshake(authorization=f"{scheme} abc", origin="null", cookie=f"sessionid={SESSION}")
            assert shake.claim() == Claim("token", "abc")

    def test_an_empty_token_is_not_passed_over_for_the_cookie(self) -> None:
        shake = handshake(**self.own, authorization="Bearer ", cookie=f"sessionid={SESSION}")
        assert shake.claim() == Claim("token", "")

    def test_another_kind_of_authorization_is_none_of_ours(self) -> None:
        shake = handshake(**self.own, authorization="Basic YTpi", cookie=f"sessionid={SESSION}")
        assert shake.claim() == Claim("session", SESSION)

    def test_a_session_cookie_among_others(self, site: Any) -> None:
        cookies = [f"a=1; sessionid={SESSION}", "b=2"]
        assert handshake(**self.own, cookie=cookies).claim() == Claim("session", SESSION)
        site.SESSION_COOKIE_NAME = "other"
        assert handshake(**self.own, cookie=cookies).claim() is None

    def test_nothing_claims_nothing(self) -> None:
        assert handshake(origin="https://evil.example").claim() is None
        assert handshake(**self.own, cookie="sessionid=").claim() is None

    @pytest.mark.parametrize(
        "key", ['"\\000\\000\\000\\000\\000\\000\\000\\000\\000"', "x" * 1000, "Ä" * 32, "a'--"]
    )
    def test_what_cannot_be_a_session_key_does_not_reach_the_database(self, key: str) -> None:
        assert handshake(**self.own, cookie=f"sessionid={key}").claim() is None


class TestAddresses:
    @pytest.mark.parametrize(
        ("peer", "forwarded", "address"),
        [
            ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
            ("10.0.0.1", "unknown", "10.0.0.1"),
            ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::1", "", "2001:db8:1:2::/64"),
            (None, "198.51.100.1", ""),
        ],
    )
    def test_the_nearest_that_is_no_trusted_proxy_counts(
        self, peer: str | None, forwarded: str, address: str
    ) -> None:
        assert handshake(peer, x_forwarded_for=forwarded).address == address
