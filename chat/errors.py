"""The words of refusal: error codes and close codes of the wire (docs/protocol.md)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

#: Codes of errors that may go away by themselves: the same call may work later.
TEMPORARY = frozenset({"rate_limited", "unavailable"})

CODES = frozenset(
    {
        "bad_packet",
        "unknown_event",
        "bad_data",
        "unauthenticated",
        "forbidden",
        "not_found",
        "muted",
        "banned",
        "too_large",
        "rate_limited",
        "conflict",
        "stale_lease",
        "kicked",
        "session_ended",
        "too_slow",
        "unacknowledged",
        "unavailable",
        "internal",
    }
)


class Close(IntEnum):
    """WebSocket close codes. Below 4500 a client reconnects, from 4500 on it does not."""

    GOING_AWAY = 4001
    TOO_SLOW = 4002
    UNACKNOWLEDGED = 4003
    RATE_LIMITED = 4004
    PROTOCOL_ERROR = 4500
    UNAUTHENTICATED = 4501
    NOT_ALLOWED = 4503
    SESSION_ENDED = 4509


def check_close(code: int) -> None:
    """Raises ValueError for what no server may close a WebSocket with (RFC 6455, 7.4)."""
    if code != 1000 and not 3000 <= code <= 4999:
        raise ValueError(f"a close code is 1000 or 3000 to 4999, got {code}")


class EventError(Exception):
    """A refusal that the client is told: `{"code", "message", "temporary", …}`.

    `more` adds fields such as `retry_after` (seconds), `behind` (a client_id) or `field`.
    """

    def __init__(self, code: str, message: str = "", **more: Any) -> None:
        assert code in CODES, code
        self.code = code
        self.message = message or code.replace("_", " ")
        self.more = more
        super().__init__(f"{code}: {self.message}")

    @property
    def temporary(self) -> bool:
        return self.code in TEMPORARY

    def as_dict(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "temporary": self.temporary, **self.more}
