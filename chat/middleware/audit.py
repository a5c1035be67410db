"""Audit: a line in the event log for each event, however it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError

from chat.errors import EventError

if TYPE_CHECKING:
    from chat.namespace import Next, Socket
    from chat.wire.packets import Event


async def audit(socket: Socket, event: Event, next: Next) -> Any:
    """Says who sent which event and whether it was carried out, or refused with which code."""
    outcome = "internal"
    try:
        answer = await next(socket, event)
        outcome = "ok"
        return answer
    except EventError as refusal:
        outcome = refusal.code
        raise
    except (OperationalError, InterfaceError):
        outcome = "unavailable"  # as the client is told
        raise
    finally:
        socket.namespace.hub.activity.note("an event", socket=socket, event=event.name[:64], outcome=outcome)
