"""Settings from the environment, each checked: a wrong one ends the process with one line."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import unicodedata
from typing import NoReturn
from urllib.parse import urlsplit

import dj_database_url

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def refuse(name: str, why: str) -> NoReturn:
    # SystemExit with a message: one line on stderr and status 1 under manage.py and every
    # ASGI server, where an exception of Django's would be a page of traceback.
    raise SystemExit(f"chatsite: {name} {why}")


def text(name: str, default: str = "") -> str:
    """The variable's value; empty counts as not set."""
    return os.environ.get(name, "").strip() or default


def words(name: str) -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in text(name).split(",") if word.strip()]


def flag(name: str, default: bool = False) -> bool:
    value = text(name, str(default)).lower()
    if value not in TRUE | FALSE:
        refuse(name, f"is {value!r}; give 1 or 0")
    return value in TRUE


def secret_key(debug: bool) -> str:
    key = text("SECRET_KEY")
    if not key and not debug:
        refuse("SECRET_KEY", "is missing; give a long random string (or DEBUG=1 while developing)")
    return key or secrets.token_urlsafe(50)


def host(default: str = "127.0.0.1") -> str:
    value = text("HOST", default)
    if value == "localhost":
        return value
    try:
        return str(ipaddress.ip_address(value.strip("[]")))
    except ValueError:
        refuse("HOST", f"is {value!r}; give an IP address to listen on, such as 127.0.0.1 or 0.0.0.0")


def bracketed(host: str) -> str:
    """The host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host


def port(default: str = "8000") -> int:
    value = text("PORT", default)
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65535:
        refuse("PORT", f"is {value!r}; give a number from 1 to 65535")
    return int(value)


def workers(default: str = "1") -> int:
    """Server processes of `manage.py serve`."""
    value = text("WORKERS", default)
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= 256:
        refuse("WORKERS", f"is {value!r}; give a number from 1 to 256")
    return int(value)


def hosts(default: list[str]) -> list[str]:
    """Host names without scheme or port; `.example.org` includes subdomains."""
    values = words("ALLOWED_HOSTS") or default
    for value in values:
        if not re.fullmatch(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", value):
            refuse("ALLOWED_HOSTS", f"has {value!r}; give host names without scheme or port, comma-separated")
    return values


def origins() -> list[str]:
    """Origins as browsers send them: scheme, host and any port but the scheme's own, no path."""
    return [_origin(value) for value in words("ALLOWED_ORIGINS")]


def _origin(value: str) -> str:
    match = re.fullmatch(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?", value.lower())
    if not match:
        refuse("ALLOWED_ORIGINS", f"has {value!r}; give origins such as https://chat.example.org")
    scheme, host, port = match.groups()
    own_port = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" + (f":{port}" if port and port != own_port else "")


def proxies() -> list[str]:
    """Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    for value in words("TRUSTED_PROXIES"):
        try:
            ipaddress.ip_network(value)
        except ValueError:
            refuse("TRUSTED_PROXIES", f"has {value!r}; give IP addresses or networks, such as 10.0.0.0/8")
    return words("TRUSTED_PROXIES")


def rate_limit(default: str = "100/s:1000") -> tuple[float, int] | None:
    """Events a second for a person and the burst above it; None is off."""
    value = text("RATE_LIMIT", default)
    if value.lower() == "off":
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)/s:([0-9]+)", value)
    if not match or float(match[1]) <= 0 or int(match[2]) < 1:
        refuse("RATE_LIMIT", f"is {value!r}; give N/s:BURST, such as {default}, or off")
    return float(match[1]), int(match[2])


def filtered_words() -> list[str]:
    """Words that messages are masked of. One with a space or a hyphen would never be found."""
    for value in words("FILTERED_WORDS"):
        if not all(unicodedata.category(each)[0] in "LNM" or each in "\u200c\u200d" for each in value):
            refuse("FILTERED_WORDS", f"has {value!r}; give words of letters and digits, comma-separated")
    return words("FILTERED_WORDS")


def database(default: str) -> dict:
    """Django's DATABASES entry: SQLite or PostgreSQL."""
    url = text("DATABASE_URL", default)
    shape = "give sqlite:////path/to/file or postgres://user:password@host:port/name"
    try:
        config = dict(dj_database_url.parse(url))
    except (ValueError, KeyError):
        refuse("DATABASE_URL", f"cannot be read; {shape}")  # the value may hold a password
    engine = str(config["ENGINE"]).rpartition(".")[2]
    if engine not in ("sqlite3", "postgresql") or not config.get("NAME"):
        refuse("DATABASE_URL", f"is not a database this runs on; {shape}")
    if config["NAME"] == ":memory:":
        refuse("DATABASE_URL", f"names a database in memory, which forgets; {shape}")
    return config


def redis_urls() -> list[str]:
    """Redis servers between processes, comma-separated; empty: one process, no Redis."""
    for url in words("REDIS_URL"):
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("redis", "rediss", "unix") and (parts.hostname or parts.path)
            _ = parts.port
        except ValueError:
            good = False
        if not good:
            refuse("REDIS_URL", "cannot be read; give redis://host:port/0, several comma-separated")
    return words("REDIS_URL")
