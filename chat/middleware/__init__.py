"""Middleware: what stands between a packet and its handler, and at a namespace's door.

A namespace lists them, and they run in that order. One that can be called is called with every
event, `await middleware(socket, event, next)`, and calls `await next(socket, event)` for the
rest of the chain, whose answer that returns: so it may change the event's data before, and
change or refuse the answer after. One with a `connect(socket)` is asked whether a socket may
come in, one with a `recheck(socket)` whether it may stay when its person's rights have changed.
A refusal is an `EventError`: an error ack, or at the door a packet and a close.

Handlers that are plain functions are called past all of them; see `chat.namespace.handlers`.
"""

from .access import Authenticated, MemberOf, StaffOnly, authenticated, member_of, staff_only
from .audit import audit
from .rates import Bucket, Buckets, Meter, RateLimit, Unlimited, check_connection, parse_rate, rate_limit
from .words import RoomWords, WordFilter, room_words, word_filter

__all__ = [
    "Authenticated",
    "Bucket",
    "Buckets",
    "MemberOf",
    "Meter",
    "RateLimit",
    "RoomWords",
    "StaffOnly",
    "Unlimited",
    "WordFilter",
    "audit",
    "authenticated",
    "check_connection",
    "member_of",
    "parse_rate",
    "rate_limit",
    "room_words",
    "staff_only",
    "word_filter",
]
