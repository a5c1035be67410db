"""A site seen from outside, over its proxies and TLS, as a browser sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from django.conf import settings
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from chat.services.doctor.findings import Finding, error, ok

#: Seconds for each answer.
TIMEOUT = 10
#: No session of anybody's: what is asked is only whether its origin may use one.
COOKIE = "0" * 32


def visit(address: str) -> Iterator[Finding]:
    parts = urlsplit(address)
    origin = f"{parts.scheme}://{parts.netloc}"
    page = fetch(f"{origin}/healthz")
    yield page
    if page.level == "ok":
        yield open_socket(origin)


def fetch(url: str) -> Finding:
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:
            return ok("visit", f"{url} answers {answer.status}")
    except HTTPError as answer:
        advice = {
            400: "its host is not in ALLOWED_HOSTS, or the proxy doesn't pass the Host header on",
            404: "is it this site?",
        }
        otherwise = "see the proxy's log: does it find the server?"
        return error("visit", f"{url} answers {answer.code}", advice.get(answer.code, otherwise))
    except (OSError, HTTPException, ValueError) as failure:
        reason = getattr(failure, "reason", failure)
        return error(
            "visit", f"{url}: {reason}", "see that the server and the proxy run, and the name's address"
        )


def open_socket(origin: str) -> Finding:
    url = origin.replace("http", "ws", 1) + "/ws/chat/"
    try:
        said = first_word(url, origin)
    except InvalidStatus as refused:
        advice = "let the proxy pass WebSockets on: HTTP/1.1 with the headers Upgrade and Connection"
        return error("visit", f"{url} answers {refused.response.status_code}: no socket", advice)
    except (OSError, InvalidHandshake, EOFError, ValueError) as failure:
        return error("visit", f"{url}: {failure or 'no answer'}", "see the logs of the proxy and the server")
    return judged(origin, said)


def first_word(url: str, origin: str) -> Any:
    cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={COOKIE}"}
    with connect(
        url, origin=Origin(origin), additional_headers=cookie, open_timeout=TIMEOUT, proxy=None
    ) as socket:
        return json.loads(str(socket.recv(TIMEOUT)).partition("\n")[0])


def judged(origin: str, said: Any) -> Finding:
    code = said.get("error", {}).get("code") if isinstance(said, dict) else None
    if code == "unauthenticated":  # as it should be: the cookie is nobody's
        return ok("visit", f"a page of {origin} may open a socket")
    if code == "forbidden":
        return error(
            "visit",
            f"a page of {origin} is refused its socket: the site does not take it for its own",
            "let the proxy pass the Host header on and set X-Forwarded-Proto, and name it in "
            f"TRUSTED_PROXIES; or give ALLOWED_ORIGINS={origin}",
        )
    return error("visit", f"the socket said {json.dumps(said)[:200]}", "is it this site?")
