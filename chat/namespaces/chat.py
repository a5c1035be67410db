"""The chat: rooms with a log that every member gets."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from django.conf import settings
from emoji import is_emoji
from msgspec import Meta

from chat.delivery import pools
from chat.delivery.entries import Draft
from chat.errors import EventError
from chat.middleware import authenticated, rate_limit, room_words, word_filter
from chat.namespace import (
    Body,
    Check,
    ClientId,
    Limit,
    Seq,
    Slug,
    Socket,
    after_answer,
    on,
    register,
    user_room,
)
from chat.services import history, listing, moderation, rendering, rooms, search

from .moderating import Moderating
from .shapes import Data, Reason, me

WITH_BODY = ("message", "edit")
Ordering = Literal["ordered", "unordered"]


def check_may_create(socket: Socket, what: str) -> None:
    if not (settings.ROOM_CREATION or (socket.user and socket.user.staff)):
        raise EventError("forbidden", f"{what} are made by the staff here")


def check_emoji(field: str, emoji: str) -> None:
    if not is_emoji(emoji):
        raise EventError("bad_data", f"`{field}` must be one emoji", field=field)


Emoji = Annotated[str, Meta(max_length=32, description="one emoji"), Check(check_emoji)]


@register
class Chat(Moderating):
    path = "chat"
    middleware = (authenticated, rate_limit(), word_filter(events=WITH_BODY), room_words(events=WITH_BODY))

    # Listening to a room

    @on("join")
    async def join(
        self,
        socket: Socket,
        room: Slug,
        after: Seq | None = None,
        epoch: str | None = None,
        after_client_id: str | None = None,
        ack: bool | None = None,
    ) -> Data:
        """Entries after `after` (or after the member's cursor) follow the answer, then live ones."""
        answer, start = await self.hub.join(
            socket,
            room,
            after=after,
            epoch=epoch,
            after_client_id=after_client_id,
            ack=socket.outbox.wire.acknowledges if ack is None else ack,
        )
        after_answer(start)
        return answer

    @on("leave")
    async def leave(self, socket: Socket, room: Slug) -> Data:
        """This socket stops listening; the person stays a member."""
        if not self.hub.leave(socket, room):
            raise EventError("not_found", f"this socket has not joined {room!r}", field="room")
        return {"room": room}

    @on("received")
    def received(self, socket: Socket, /, **upto: int | list[int]) -> None:
        """`{ROOM: SEQ}` or `{ROOM: [SEQ, …]}`. Each room is judged by itself."""
        refusal = None
        for room, what in upto.items():
            try:
                self.hub.received(socket, room, what)
            except EventError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal

    @on("read")
    async def read(self, socket: Socket, room: Slug, seq: Seq) -> None:
        self.hub.read(socket, room, seq)

    @on("typing")
    async def typing(self, socket: Socket, room: Slug) -> None:
        self.hub.typing(socket, room)

    # Writing to its log. The journal checks who may, inside the transaction that stores it.

    @on("message")
    async def message(
        self, socket: Socket, room: Slug, client_id: ClientId, body: Body, reply_to: Seq | None = None
    ) -> Data:
        html, extra = await self._compose(room, body)
        if reply_to is not None:
            extra["reply_to"] = reply_to
        return await self._append(socket, room, client_id, "message", body=body, html=html, extra=extra)

    @on("edit")
    async def edit(self, socket: Socket, room: Slug, client_id: ClientId, target: Seq, body: Body) -> Data:
        html = await pools.read(rendering.render, body) if rendering.has_markup(body) else ""
        return await self._append(socket, room, client_id, "edit", target=target, body=body, html=html)

    @on("delete")
    async def delete(
        self, socket: Socket, room: Slug, client_id: ClientId, target: Seq, reason: Reason = ""
    ) -> Data:
        """One's own message is a write like any other, someone else's an act of moderation."""
        extra = {"reason": moderation.checked_reason(reason)} if reason else {}
        if not await pools.read(moderation.moderates, self.path, room, target, me(socket)):
            return await self._append(socket, room, client_id, "delete", target=target, extra=extra)
        draft = Draft(self.path, room, me(socket), client_id, "delete", target=target, extra=extra)
        receipt = await pools.write(moderation.delete_as_member, self.in_order(socket, draft))
        return receipt.as_dict()

    @on("react")
    async def react(
        self,
        socket: Socket,
        room: Slug,
        client_id: ClientId,
        target: Seq,
        emoji: Emoji,
        on: bool,
    ) -> Data:
        extra = {"emoji": emoji, "on": on}
        return await self._append(socket, room, client_id, "react", target=target, extra=extra)

    async def _compose(self, room: str, body: str) -> tuple[str, Data]:
        """The body's HTML and whom it mentions; most bodies have neither and take no thread."""
        if not (rendering.has_markup(body) or "@" in body):
            return "", {}
        return await pools.read(compose, self.path, room, body)

    async def _append(self, socket: Socket, room: str, client_id: str, kind: str, **entry: Any) -> Data:
        draft = Draft(self.path, room, me(socket), client_id, kind, **entry)
        return (await self.send(socket, draft)).as_dict()

    # Looking back and around

    @on("history")
    async def history(
        self,
        socket: Socket,
        room: Slug,
        before: Seq | None = None,
        after: Seq | None = None,
        limit: Limit | None = None,
    ) -> Data:
        """Messages as they stand now."""
        return await pools.read(history.page, self.path, room, me(socket), before, after, limit)

    @on("who")
    async def who(self, socket: Socket, room: Slug, seq: Seq) -> Data:
        """Who has received and who has read an entry."""
        return await pools.read(history.who, self.path, room, me(socket), seq)

    @on("search")
    async def search(
        self,
        socket: Socket,
        query: str,
        room: Slug | None = None,
        before: str | None = None,
        limit: Limit | None = None,
    ) -> Data:
        """Messages by their words, newest first."""
        return await pools.search(search.search, self.path, me(socket), query, room, before, limit)

    @on("rooms")
    async def rooms(self, socket: Socket, after: Slug | None = None, limit: Limit | None = None) -> Data:
        return await pools.read(listing.list_for, me(socket), self.path, after or "", limit)

    # Rooms and their members

    @on("room:create")
    async def create(
        self,
        socket: Socket,
        room: Slug,
        name: str = "",
        topic: str = "",
        private: bool = False,
        ordering: Ordering = "ordered",
        ack_wait: float = 30.0,
        max_deliver: int = 5,
    ) -> Data:
        """A new room of one's own, as `rooms` lists it. `conflict` where the name is taken."""
        check_may_create(socket, "rooms")
        make = partial(
            rooms.create,
            name=name,
            topic=topic,
            private=private,
            ordering=ordering,
            ack_wait=ack_wait,
            max_deliver=max_deliver,
        )
        made = await pools.write(make, self.path, me(socket), room)
        await socket.to(user_room(me(socket))).emit("room:added", {"room": room})
        return await pools.read(listing.describe, made.pk, me(socket))

    @on("room:update")
    async def update(
        self, socket: Socket, room: Slug, name: str | None = None, topic: str | None = None
    ) -> Data:
        """A new name or topic, by an owner or moderator. The hub tells the room."""
        changed = await pools.write(rooms.update, self.path, room, me(socket), name, topic)
        return await pools.read(listing.describe, changed.pk, me(socket))

    @on("room:invite")
    async def invite(self, socket: Socket, room: Slug, user: int | str) -> None:
        """A membership at once, by an owner or moderator. The person's sockets get `room:added`."""
        await pools.write(rooms.invite, self.path, room, me(socket), user)

    @on("room:quit")
    async def quit(self, socket: Socket, room: Slug) -> None:
        """The end of one's membership. Sockets that listen get `room:removed`."""
        await pools.write(rooms.quit, self.path, room, me(socket))


def compose(namespace: str, room: str, body: str) -> tuple[str, Data]:
    """A message's HTML and the rest of its data. Reads the database where it names someone."""
    names = rendering.mentions(body)
    people = rooms.named(namespace, room, names) if names else []
    return rendering.render(body), {"mentions": people} if people else {}
