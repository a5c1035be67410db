"""Moderating a room from the chat: for its owners and moderators, and the staff.

Who may do what is told and checked by `chat.services.acts`, in the transaction of each act.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from chat.delivery import pools
from chat.delivery.entries import rfc3339
from chat.namespace import Limit, Seq, Slug, Socket, on
from chat.services import members, moderation, reports

from .settling import Settling, State
from .shapes import Data, Reason, Seconds, me, person

Role = Literal["owner", "moderator", "member"]
Action = Literal["mask", "refuse"]


class Moderating(Settling):
    # Members

    @on("room:members")
    async def list_members(
        self, socket: Socket, room: Slug, query: str = "", after: str = "", limit: Limit | None = None
    ) -> Data:
        act = partial(members.list_members, namespace=self.path)
        return await pools.read(act, me(socket), room, query, after, limit)

    @on("room:kick")
    async def kick(self, socket: Socket, room: Slug, user: int | str, reason: Reason = "") -> Data:
        """The end of a membership."""
        act = partial(moderation.kick, namespace=self.path, reason=reason)
        return {"room": room, "user": person(await pools.write(act, me(socket), user, room))}

    @on("room:ban")
    async def ban(
        self,
        socket: Socket,
        room: Slug,
        user: int | str,
        reason: Reason,
        seconds: Seconds | None = None,
    ) -> Data:
        """Out of the room, for so many seconds or for good."""
        act = partial(moderation.ban, namespace=self.path, seconds=seconds, reason=reason)
        banned = await pools.write(act, me(socket), user, room)
        return {"room": room, "user": person(banned.user), "until": banned.until and rfc3339(banned.until)}

    @on("room:unban")
    async def unban(self, socket: Socket, room: Slug, user: int | str) -> Data:
        act = partial(moderation.unban, namespace=self.path)
        return {"room": room, "user": person(await pools.write(act, me(socket), user, room))}

    @on("room:bans")
    async def list_bans(
        self, socket: Socket, room: Slug, after: str = "", limit: Limit | None = None
    ) -> Data:
        act = partial(members.list_bans, namespace=self.path)
        return await pools.read(act, me(socket), room, after, limit)

    @on("room:mute")
    async def mute(
        self,
        socket: Socket,
        room: Slug,
        user: int | str,
        seconds: Seconds | None = None,
        reason: Reason = "",
    ) -> Data:
        """They may read and not write; `seconds` 0 ends it."""
        act = partial(moderation.mute, namespace=self.path, seconds=seconds, reason=reason)
        muted = await pools.write(act, me(socket), user, room)
        until = muted.muted_until and rfc3339(muted.muted_until)
        return {"room": room, "user": person(muted.user), "until": until}

    @on("room:role")
    async def set_role(self, socket: Socket, room: Slug, user: int | str, role: Role) -> Data:
        """By an owner; anyone may step down."""
        act = partial(moderation.set_role, namespace=self.path)
        membership = await pools.write(act, me(socket), user, room, role)
        return {"room": room, "user": person(membership.user), "role": membership.role}

    # The room

    @on("room:rules")
    async def set_rules(
        self,
        socket: Socket,
        room: Slug,
        slow_mode: Seq | None = None,
        filtered_words: list[str] | None = None,
        filter_action: Action | None = None,
    ) -> Data:
        """What is given changes; the answer is how they are then."""
        act = partial(
            moderation.set_rules,
            slow_mode=slow_mode,
            filtered_words=filtered_words,
            filter_action=filter_action,
            namespace=self.path,
        )
        return moderation.rules_of(await pools.write(act, me(socket), room))

    @on("room:close")
    async def close(self, socket: Socket, room: Slug, reason: Reason = "") -> Data:
        """No more entries; by an owner."""
        act = partial(moderation.close_room, namespace=self.path, reason=reason)
        await pools.write(act, me(socket), room)
        return {"room": room}

    # Reports

    @on("report")
    async def report(self, socket: Socket, room: Slug, seq: Seq, reason: Reason) -> Data:
        """By whoever may read the message."""
        made = await pools.write(reports.report, self.path, room, me(socket), seq, reason)
        return {"report": made.pk}

    @on("room:reports")
    async def list_reports(
        self,
        socket: Socket,
        room: Slug,
        state: State = "open",
        before: Seq | None = None,
        limit: Limit | None = None,
    ) -> Data:
        find = partial(
            reports.list_reports, room=room, namespace=self.path, state=state, before=before, limit=limit
        )
        return await pools.read(find, me(socket))
