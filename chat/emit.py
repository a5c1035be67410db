"""Events from anywhere in Django: views, signals, commands, shells.

    emit("/users", "announcement", {"text": "Tea is ready."}, to="kitchen")

In a server process the event goes straight to its sockets and, through the channel layer, to
the other processes; from any other process it is an entry of the control log, which every server
reads. Inside a transaction it goes with the commit, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from .delivery import door
from .hub.addresses import Address, names
from .hub.events import as_json
from .hub.hub import get_hub


def emit(
    namespace: str,
    event: str,
    data: Any = None,
    *,
    to: str | Iterable[str] | None = None,
    except_: str | Iterable[str] = (),
) -> None:
    """Send an event to the sockets of a namespace, or of some of its rooms, each once.

    `to` and `except_` name rooms, sockets by their id, and people by `user_room(id)`. Raises
    ValueError for a kind of entry and for more than fits a frame (256 KiB), TypeError for data
    that is no JSON.
    """
    data = as_json(event, data)
    address = Address(namespace.strip("/"), None if to is None else names(to), names(except_))
    hub = get_hub()
    if not hub.running:
        door.control("emit", address=address.as_dict(), event=event, data=data)
    elif connection.in_atomic_block:
        transaction.on_commit(lambda: hub.call_soon(hub.events.emit, address, event, data))
    else:
        hub.call_soon(hub.events.emit, address, event, data)


async def aemit(
    namespace: str,
    event: str,
    data: Any = None,
    *,
    to: str | Iterable[str] | None = None,
    except_: str | Iterable[str] = (),
) -> None:
    """`emit` for asynchronous code."""
    await sync_to_async(emit)(namespace, event, data, to=to, except_=except_)
