"""The staff's: what they do to people, rooms and messages; `overseeing` has what they look at.

Each act is one of `chat.services.moderation`, which checks again who may, and takes effect in
every process. Rooms are those of /chat where no other namespace is named.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from msgspec import Meta

from chat.delivery import pools
from chat.delivery.entries import rfc3339
from chat.errors import EventError
from chat.middleware import audit, authenticated, rate_limit, staff_only
from chat.namespace import Limit, Seq, Slug, Socket, on, register
from chat.services import erasure, moderation, overview

from .chat import Data, me
from .overseeing import Overseeing

Reason = Annotated[str, Meta(max_length=moderation.REASON, description="text of at most 300 characters")]
Seconds = Annotated[float, Meta(ge=0, description="a number of seconds, from 0 on")]


@register
class Admin(Overseeing):
    path = "admin"
    middleware = (authenticated, rate_limit(), staff_only, audit)

    # People

    @on("user:list")
    async def list_people(
        self, socket: Socket, query: str = "", after: str = "", limit: Limit | None = None
    ) -> Data:
        return await pools.read(overview.list_people, query, after, limit)

    @on("user:ban")
    async def ban(
        self,
        socket: Socket,
        user: int | str,
        reason: Reason,
        room: Slug | None = None,
        seconds: Seconds | None = None,
        namespace: Slug = "chat",
    ) -> Data:
        """From a room, or from the site: their sockets close with 4503."""
        act = partial(moderation.ban, namespace=namespace, seconds=seconds, reason=reason)
        banned = await pools.write(act, me(socket), user, room)
        return {"user": _person(banned.user), "until": banned.until and rfc3339(banned.until)}

    @on("user:unban")
    async def unban(
        self, socket: Socket, user: int | str, room: Slug | None = None, namespace: Slug = "chat"
    ) -> Data:
        act = partial(moderation.unban, namespace=namespace)
        return {"user": _person(await pools.write(act, me(socket), user, room))}

    @on("user:mute")
    async def mute(
        self,
        socket: Socket,
        user: int | str,
        room: Slug,
        reason: Reason,
        seconds: Seconds | None = None,
        namespace: Slug = "chat",
    ) -> Data:
        """They may read and not write; `seconds` 0 ends it."""
        act = partial(moderation.mute, namespace=namespace, seconds=seconds, reason=reason)
        membership = await pools.write(act, me(socket), user, room)
        until = membership.muted_until
        return {"user": _person(membership.user), "until": until and rfc3339(until)}

    @on("user:kick")
    async def kick(
        self, socket: Socket, user: int | str | None = None, sid: str | None = None, reason: Reason = ""
    ) -> Data:
        """All sockets of a person, or one socket. They may come back by hand."""
        if (user is None) == (sid is None):
            raise EventError("bad_data", "give `user` or `sid`, one of them", field="user")
        if sid is not None:
            found = await self._find(sid)
            if not found:
                raise EventError("not_found", f"there is no socket {sid!r}", field="sid")
            user = None if found[0].user is None else found[0].user.id
        act = partial(moderation.send_away, sid=sid, reason=reason)
        person = await pools.write(act, me(socket), user)
        return {"user": person and _person(person)}

    @on("user:delete")
    async def delete(self, socket: Socket, user: int | str, erase: bool = False) -> Data:
        """The person becomes `deleted-ID`; with `erase` their messages go as well. Asked again,
        what an outage left of those goes."""
        person = await pools.write(partial(erasure.anonymise, erased=erase), me(socket), user)
        while await pools.write(erasure.leave_slice, person.pk):
            pass
        place = (0, 0) if erase else None
        while place is not None:
            place = await pools.write(erasure.erase_slice, person.pk, place)
        return {"user": _person(person)}

    # Rooms

    @on("room:list")
    async def list_rooms(
        self, socket: Socket, namespace: Slug = "chat", after: str = "", limit: Limit | None = None
    ) -> Data:
        return await pools.read(overview.list_rooms, namespace, after, limit)

    @on("room:kick")
    async def remove(
        self, socket: Socket, room: Slug, user: int | str, reason: Reason = "", namespace: Slug = "chat"
    ) -> Data:
        """The end of a membership."""
        act = partial(moderation.kick, namespace=namespace, reason=reason)
        return {"room": room, "user": _person(await pools.write(act, me(socket), user, room))}

    @on("room:close")
    async def close(self, socket: Socket, room: Slug, reason: Reason = "", namespace: Slug = "chat") -> Data:
        await pools.write(
            partial(moderation.close_room, namespace=namespace, reason=reason), me(socket), room
        )
        return {"room": room}

    @on("message:delete")
    async def delete_message(
        self, socket: Socket, room: Slug, seq: Seq, reason: Reason, namespace: Slug = "chat"
    ) -> Data:
        act = partial(moderation.delete_message, namespace=namespace, reason=reason)
        await pools.write(act, me(socket), room, seq)
        return {"room": room, "seq": seq}


def _person(user: Any) -> Data:
    return {"id": user.pk, "name": user.username}
