"""The door of the line wire: one WebSocket, one namespace, JSON packets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from channels.consumer import AsyncConsumer

from chat.errors import Close, EventError
from chat.hub.outbox import Outbox
from chat.hub.position import WINDOW_BYTES, WINDOW_ENTRIES
from chat.middleware import check_connection
from chat.namespace import BODY, IN_WORK, Namespace, Socket, internal_error
from chat.origin import Handshake
from chat.wire.lines import FRAME_IN, fits, lines
from chat.wire.packets import Ack, BadPacket, Event

from .entrance import CLOSE_CODES, Receive, admit, check_ready, free_slot, identify, let_go

#: So many bad packets within so many seconds end the connection.
BAD_PACKETS, BAD_SECONDS = 20, 10.0

WINDOW = {"entries": WINDOW_ENTRIES, "bytes": WINDOW_BYTES}

Send = Callable[[dict[str, Any]], Awaitable[None]]


class LinesConsumer(AsyncConsumer):
    """Carries packets between one connection and its namespace.

    From `AsyncConsumer` come `as_asgi` and what routing expects, but not the loop. Its
    `dispatch` visits, before every message, a thread that all consumers share: 76 to 103 us
    each, and one slow query there holds up every socket. It also makes each consumer a
    channel-layer channel, where the hub has one for the whole process.
    """

    def __init__(self, namespace: Namespace | None) -> None:
        self._namespace = namespace
        self._bad_packets: deque[float] | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        outbox = Outbox(send, lines)  # type: ignore[arg-type]
        if self._namespace is None:
            outbox.put(lines.error(EventError("not_found", "There is no such namespace.")))
            outbox.close(Close.NOT_ALLOWED)
            return
        socket = Socket(self._namespace, outbox)
        # Before rights are read, so that a ban in between finds the socket.
        self._namespace.hub.register(socket)
        try:
            await self._serve(socket, scope, receive)
        finally:
            let_go(socket)

    async def _serve(self, socket: Socket, scope: dict[str, Any], receive: Receive) -> None:
        try:
            await self._let_in(socket, Handshake(scope), receive)
            await self._listen(socket, receive)
            return
        except EventError as refusal:
            socket.close(CLOSE_CODES.get(refusal.code, Close.NOT_ALLOWED), refusal)
        except Exception as failure:
            where = f"a connection to /{socket.namespace_path}"
            socket.close(Close.GOING_AWAY, internal_error(where, failure))
        await self._listen(socket, receive)  # to nothing, until the connection has ended

    async def _let_in(self, socket: Socket, handshake: Handshake, receive: Receive) -> None:
        await check_ready(socket.namespace.hub)
        check_connection(handshake.address)
        await identify(socket, handshake.claim(), receive)
        if socket.closed is None:
            admit(socket, partial(socket.outbox.put, lines.event("connect", _greeting(socket))))
            await socket.namespace.connect(socket)

    async def _listen(self, socket: Socket, receive: Receive) -> None:
        """Take in frames until the connection ends."""
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            if socket.closed is not None or socket.deaf:
                continue
            if socket.meter is not None and socket.meter.in_debt:
                raise EventError("rate_limited", "Far too much at once.", retry_after=1.0)
            text = message.get("text")
            if text is None:
                self._refuse(socket, BadPacket(EventError("bad_packet", "a binary frame; expected text")))
            elif not fits(text, FRAME_IN):
                self._refuse_frame(socket)
            else:
                await self._take_in(socket, text, receive)

    async def _take_in(self, socket: Socket, text: str, receive: Receive) -> None:
        namespace = socket.namespace
        for packet in lines.decode(text):
            if isinstance(packet, Event):
                if socket.in_work >= IN_WORK and not namespace.is_direct(packet.name):
                    await free_slot(socket, receive)
                namespace.dispatch(socket, packet)
            elif isinstance(packet, Ack):
                namespace.answered(socket, packet)
            else:
                self._refuse(socket, packet)
            if socket.closed is not None:
                return

    def _refuse(self, socket: Socket, packet: BadPacket) -> None:
        socket.refuse(packet.error, packet.id, packet.event)
        if self._bad_packets is None:
            self._bad_packets = deque(maxlen=BAD_PACKETS)
        times, now = self._bad_packets, time.monotonic()
        times.append(now)
        if len(times) == BAD_PACKETS and now - times[0] < BAD_SECONDS:
            raise EventError("bad_packet", f"{BAD_PACKETS} bad packets within {BAD_SECONDS:.0f} seconds")

    def _refuse_frame(self, socket: Socket) -> None:
        """It isn't parsed, and counts as an event."""
        try:
            if socket.meter is not None:
                socket.meter.take()
            raise EventError("too_large", f"a frame is at most {FRAME_IN} bytes of UTF-8", limit=FRAME_IN)
        except EventError as error:
            socket.refuse(error)


def _greeting(socket: Socket) -> dict[str, Any]:
    return {
        "sid": socket.id,
        "namespace": socket.namespace_path,
        "user": None if socket.user is None else socket.user.as_dict(),
        "limits": {"frame": FRAME_IN, "body": BODY, "window": WINDOW},
    }
