"""Whether the settings are those of a site that people can use, and strangers can't misuse."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.http.request import validate_host

from .findings import Finding, error, ok, warning

#: As Django's own check has it.
KEY = 50


def examine() -> Iterator[Finding]:
    yield own_checks()
    yield debug()
    yield secret_key()
    yield hosts()
    yield from origins()
    yield proxies()
    yield rate_limit()
    yield static_files()


def is_local(host: str) -> bool:
    host = host.strip("[]").lstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public() -> bool:
    """Whether the settings name the site to others than this machine."""
    origins = [urlsplit(origin).hostname or "" for origin in settings.ALLOWED_ORIGINS]
    return not all(map(is_local, [*settings.ALLOWED_HOSTS, *origins]))


def own_checks() -> Finding:
    serious = [each for each in checks.run_checks() if each.is_serious()]
    if serious:
        return error("django", " ".join(str(serious[0]).split()), "see `manage.py check`")
    return ok("django", "its own checks find nothing")


def debug() -> Finding:
    if not settings.DEBUG:
        return ok("DEBUG", "off")
    advice = "leave DEBUG unset wherever others than you can come in"
    if is_public():
        return error(
            "DEBUG", "on, on a site that others can reach: error pages show code and settings", advice
        )
    return warning("DEBUG", "on: for development alone", advice)


def secret_key() -> Finding:
    key = settings.SECRET_KEY
    advice = "give a random one: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    if not os.environ.get("SECRET_KEY"):
        return warning("SECRET_KEY", "made anew at every start, which ends every session", advice)
    if len(key) < KEY or len(set(key)) < 5:
        level = warning if settings.DEBUG else error
        return level("SECRET_KEY", f"{len(key)} characters: who guesses it can sign in as anybody", advice)
    return ok("SECRET_KEY", "long enough")


def hosts() -> Finding:
    if "*" in settings.ALLOWED_HOSTS:
        return warning(
            "ALLOWED_HOSTS",
            "`*`: links in mails and the site's own origin are whatever a request says",
            "name the site's hosts",
        )
    if not settings.DEBUG and all(map(is_local, settings.ALLOWED_HOSTS)):
        return warning(
            "ALLOWED_HOSTS",
            "only this machine's own names: everybody else is answered 400",
            "name the site's hosts, such as ALLOWED_HOSTS=chat.example.org",
        )
    return ok("ALLOWED_HOSTS", ", ".join(settings.ALLOWED_HOSTS))


def origins() -> Iterator[Finding]:
    """Each beside the site's own; a wrong one is a page that never connects."""
    listed = settings.ALLOWED_ORIGINS
    secure = [origin for origin in listed if origin.startswith("https:")]
    for origin in listed:
        host = urlsplit(origin).hostname or ""
        if origin not in secure and secure:
            yield error(
                "ALLOWED_ORIGINS",
                f"{origin} is not https, but {secure[0]} is: cookies travel over TLS alone, so that nobody "
                "can sign in there",
                "take it out, or serve it over https",
            )
        elif origin not in secure and not is_local(host):
            yield warning(
                "ALLOWED_ORIGINS",
                f"{origin} is not https: passwords and messages travel in the clear",
                "put TLS in front",
            )
        elif not validate_host(host, settings.ALLOWED_HOSTS):
            yield warning(
                "ALLOWED_ORIGINS",
                f"{origin} is no host of ALLOWED_HOSTS: is it written as in the browser's address bar? "
                "(Pages of another site get no cookie from this one, so that nobody is signed in there.)",
                "correct it, or take it out",
            )
    if not listed:
        yield ok("ALLOWED_ORIGINS", "none but the site's own")
    elif len(listed) == len(secure):
        yield ok("ALLOWED_ORIGINS", ", ".join(listed))


def proxies() -> Finding:
    listed = settings.TRUSTED_PROXIES
    wide = [each for each in listed if ipaddress.ip_network(each).prefixlen < 8]
    if wide:
        return error(
            "TRUSTED_PROXIES",
            f"{', '.join(wide)} is nearly everybody: whoever says so has any address, and no limit holds",
            "name the proxies' own addresses",
        )
    if not listed and is_public() and is_local(settings.HOST):
        return warning(
            "TRUSTED_PROXIES",
            f"none, though HOST is {settings.HOST} and the site is named to others: behind a proxy everybody "
            "then has its address, and an https page is refused its socket",
            "give the proxy's address, such as TRUSTED_PROXIES=127.0.0.1, and let it set X-Forwarded-For and "
            "X-Forwarded-Proto",
        )
    return ok("TRUSTED_PROXIES", ", ".join(listed) or "none: X-Forwarded-… headers are not believed")


def rate_limit() -> Finding:
    if settings.RATE_LIMIT is None:
        return warning("RATE_LIMIT", "off: one client can take the whole server", "leave RATE_LIMIT unset")
    rate, burst = settings.RATE_LIMIT
    text = f"{rate:g} events a second for each person, {burst} at once"
    if rate < 2 or burst < 20:
        return warning(
            "RATE_LIMIT", f"{text}: people who write quickly will meet it", "give more: 100/s:1000"
        )
    return ok("RATE_LIMIT", text)


def static_files() -> Finding:
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    if settings.DEBUG:
        return ok("static files", "straight from their sources")
    if not manifest.exists():
        return error(
            "static files",
            f"not collected into {settings.STATIC_ROOT}: no page can be shown",
            "run `manage.py collectstatic --no-input`",
        )
    return ok("static files", f"collected into {settings.STATIC_ROOT}")
