"""What handlers of several namespaces share: who sends, and shapes of what they send."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from chat.namespace import Socket
from chat.services import moderation

Data = dict[str, Any]

Reason = Annotated[str, Meta(max_length=moderation.REASON, description="text of at most 300 characters")]
Seconds = Annotated[float, Meta(ge=0, description="a number of seconds, from 0 on")]


def me(socket: Socket) -> int:
    """The id of the person; `authenticated` lets nobody in without one."""
    assert socket.user is not None
    return socket.user.id


def person(user: Any) -> Data:
    return {"id": user.pk, "name": user.username}
