"""The staff's: what they do to people, rooms and messages; `overseeing` has what they look at.

Each act is one of `chat.services.moderation`, which checks again who may, and takes effect in
every process. Rooms are those of /chat where no other namespace is named.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from chat.delivery import pools
from chat.delivery.entries import rfc3339
from chat.errors import EventError
from chat.middleware import audit, authenticated, rate_limit, staff_only
from chat.namespace import Limit, Seq, Slug, Socket, on, register
from chat.services import erasure, moderation, overview

from .overseeing import Overseeing
from .shapes import Data, Reason, Seconds, me, person

Action = Literal["mask", "refuse"]


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
        return {"user": person(banned.user), "until": banned.until and rfc3339(banned.until)}

    @on("user:unban")
    async def unban(
        self, socket: Socket, user: int | str, room: Slug | None = None, namespace: Slug = "chat"
    ) -> Data:
        act = partial(moderation.unban, namespace=namespace)
        return {"user": person(await pools.write(act, me(socket), user, room))}

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
        return {"user": person(membership.user), "until": until and rfc3339(until)}

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
        sent = await pools.write(act, me(socket), user)
        return {"user": sent and person(sent)}

    @on("user:delete")
    async def delete(self, socket: Socket, user: int | str, erase: bool = False) -> Data:
        """The person becomes `deleted-ID`; with `erase` their messages go as well. Asked again,
        what an outage left of those goes."""
        gone = await pools.write(partial(erasure.anonymise, erased=erase), me(socket), user)
        while await pools.write(erasure.leave_slice, gone.pk):
            pass
        for some in await pools.read(erasure.slices, gone.pk) if erase else ():
            await pools.write(erasure.erase_slice, *some)
        return {"user": person(gone)}

    @on("session:end")
    async def end_sessions(
        self, socket: Socket, user: int | str, tokens: bool = False, reason: Reason = ""
    ) -> Data:
        """Signed out of every browser; with `tokens` their programs as well. They may sign in again."""
        act = partial(moderation.end_sessions, tokens=tokens, reason=reason)
        return {"user": person(await pools.write(act, me(socket), user))}

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
        return {"room": room, "user": person(await pools.write(act, me(socket), user, room))}

    @on("room:close")
    async def close(self, socket: Socket, room: Slug, reason: Reason = "", namespace: Slug = "chat") -> Data:
        await pools.write(
            partial(moderation.close_room, namespace=namespace, reason=reason), me(socket), room
        )
        return {"room": room}

    @on("room:reopen")
    async def reopen(self, socket: Socket, room: Slug, namespace: Slug = "chat") -> Data:
        await pools.write(partial(moderation.reopen_room, namespace=namespace), me(socket), room)
        return {"room": room}

    @on("room:rules")
    async def set_rules(
        self,
        socket: Socket,
        room: Slug,
        slow_mode: Seq | None = None,
        filtered_words: list[str] | None = None,
        filter_action: Action | None = None,
        namespace: Slug = "chat",
    ) -> Data:
        """What is given changes; the answer is how they are then."""
        act = partial(
            moderation.set_rules,
            slow_mode=slow_mode,
            filtered_words=filtered_words,
            filter_action=filter_action,
            namespace=namespace,
        )
        return moderation.rules_of(await pools.write(act, me(socket), room))

    @on("message:delete")
    async def delete_message(
        self, socket: Socket, room: Slug, seq: Seq, reason: Reason, namespace: Slug = "chat"
    ) -> Data:
        act = partial(moderation.delete_message, namespace=namespace, reason=reason)
        await pools.write(act, me(socket), room, seq)
        return {"room": room, "seq": seq}
