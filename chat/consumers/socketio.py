"""The door of Socket.IO's clients: many namespaces over one Engine.IO session."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from chat.errors import Close, EventError
from chat.hub.hub import get_hub
from chat.namespace import IN_WORK, Namespace, Seq, Slug, Socket, internal_error
from chat.services.people import Claim
from chat.wire.engineio import Frame
from chat.wire.lines import FRAME_IN
from chat.wire.packets import Ack, Event
from chat.wire.socketio import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    DISCONNECT,
    EVENT,
    BadPacket,
    Decoder,
    Packet,
    Resumable,
    SocketIO,
    wire,
)

from .engine import Session
from .entrance import CLOSE_CODES, Receive, admit, check_ready, free_slot, identify, let_go

#: Where a client that names no namespace comes in.
ALIASES = {"/": "chat"}
#: Rooms that a socket may be in to resume by offset, which names them all.
RESUMED = 20
#: Of one of them: its name, its epoch, and the last entry sent.
PLACE = tuple[Slug, str, Seq]


class Channel:
    """The outbox of one namespace's socket: the session's, shared with the other namespaces."""

    def __init__(self, connection: Connection, wire: SocketIO) -> None:
        self.wire = wire
        self.on_slow: Callable[[int, EventError], None] | None = None  # the session's is asked
        self.recovery: Recovery | None = None
        self._connection = connection
        self._held: list[Any] | None = []  # what comes before the greeting goes after it
        self._ended = False

    @property
    def size(self) -> int:
        size: int = self._outbox.size
        return size

    @property
    def busy(self) -> bool:
        busy: bool = self._outbox.busy
        return busy

    async def idle(self) -> None:
        await self._outbox.idle()

    def greet(self, packet: str) -> None:
        held, self._held = self._held or [], None
        self._send(packet)
        if self.recovery is not None:
            self._tell_offset(self.recovery)
        for each in held:
            self.put(each)

    def put(self, packet: Any) -> None:
        """A frame, or several: a text and the binary data behind it."""
        if self._held is not None:
            self._held.append(packet)
            return
        if self.recovery is not None:
            self._tell_offset(self.recovery)
        self._send(packet)

    def close(self, code: int) -> None:
        """End the namespace; or the connection where the client is to come back, as it does by
        itself from the end of a connection alone."""
        if self._held is None:
            self._connection.end(self.wire, code)
        self._ended = True

    def discard(self) -> None:
        self._ended = True

    def abort(self) -> None:
        self._connection.session.abort()

    def _send(self, packet: Any) -> None:
        if self._ended:
            return
        outbox = self._connection.session.outbox
        if isinstance(packet, str):
            outbox.put(packet)
        else:
            for frame in packet:
                outbox.put(frame)

    def _tell_offset(self, recovery: Recovery) -> None:
        """Before the answer to a `join` or `leave`: who has that answer has the offset with it."""
        if (standing := recovery.moved()) is not None:
            self._send(standing)

    @property
    def _outbox(self) -> Any:
        return self._connection.session.outbox


class Connection:
    """Carries packets between one session and the namespaces that its client is in."""

    def __init__(self, namespaces: Mapping[str, Namespace], session: Session) -> None:
        self.session = session
        self._namespaces = namespaces
        self._sockets: dict[str, Socket] = {}
        self._decoder = Decoder()
        self._patience: asyncio.TimerHandle | None = None
        self._await_connect()

    async def receive(self, data: Frame, receive: Receive | None) -> None:
        if any(socket.deaf for socket in self._sockets.values()):
            return
        if any(socket.meter is not None and socket.meter.in_debt for socket in self._sockets.values()):
            self.too_slow(Close.RATE_LIMITED, EventError("rate_limited", "Far too much at once."))
            return
        try:
            packet = self._decoder.feed(data)
            if packet is not None:
                await self._take(packet, receive)
        except BadPacket:
            self.session.end()
        except EventError as refusal:
            self.too_slow(Close.RATE_LIMITED, refusal)

    async def _take(self, packet: Packet, receive: Receive | None) -> None:
        if packet.kind == CONNECT:
            await self._connect(packet, receive)
            return
        socket = self._sockets.get(packet.namespace)
        if socket is None:
            raise BadPacket("a packet for a namespace that the client is not in")
        if packet.kind == DISCONNECT:
            self._remove(packet.namespace, socket)
        elif packet.kind in (EVENT, BINARY_EVENT):
            await self._event(socket, packet, receive)
        elif packet.kind in (ACK, BINARY_ACK):
            self._ack(socket, packet)

    def too_slow(self, code: int, error: EventError) -> None:
        """Close everything and say why."""
        for socket in list(self._sockets.values()):
            socket.close(code, error)
        self.session.end()

    def end(self, wire: SocketIO, code: int) -> None:
        """A socket was closed by the server."""
        if code < Close.PROTOCOL_ERROR:
            self.session.end(code, last_words=True)
            return
        self.session.send(wire.disconnect())
        namespace = next((name for name, each in self._sockets.items() if each.outbox.wire is wire), None)
        if namespace is not None:
            # Once whoever closes it is done with it.
            asyncio.get_running_loop().call_soon(self._remove, namespace, self._sockets[namespace])

    def closed(self) -> None:
        """The session is over."""
        if self._patience is not None:
            self._patience.cancel()
        for namespace, socket in list(self._sockets.items()):
            self._remove(namespace, socket)

    def _remove(self, namespace: str, socket: Socket) -> None:
        """Unless the client has gone already, and perhaps come anew."""
        if self._sockets.get(namespace) is socket:
            del self._sockets[namespace]
            let_go(socket)
        if not self._sockets:
            self._await_connect()

    def _await_connect(self) -> None:
        """A client that is in no namespace for too long has no business here."""
        if self._patience is not None:
            self._patience.cancel()
        if not self.session.ended:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(self.session.options.connect_timeout, self._give_up)

    def _give_up(self) -> None:
        if not self._sockets:
            self.session.end()

    # -- Coming in

    async def _connect(self, packet: Packet, receive: Receive | None) -> None:
        name = packet.namespace
        if name in self._sockets:
            raise BadPacket("a second CONNECT to the same namespace")
        namespace = self._namespaces.get(ALIASES.get(name, name.removeprefix("/")))
        if namespace is None:
            self.session.send(SocketIO(name).connect_error("Invalid namespace"))
            return
        channel = Channel(self, wire(name))
        socket = Socket(namespace, channel)  # type: ignore[arg-type]
        socket.auth = packet.data or {}
        self._sockets[name] = socket
        # Before rights are read, so that a ban in between finds the socket.
        get_hub().register(socket)
        try:
            await self._let_in(socket, channel, name, receive)
        except EventError as refusal:
            self._refuse(name, socket, refusal)
        except Exception as failure:
            self._refuse(name, socket, internal_error(f"a connection to {name}", failure))

    def _refuse(self, name: str, socket: Socket, refusal: EventError) -> None:
        if self._sockets.get(name) is not socket:
            return
        self._remove(name, socket)
        code = CLOSE_CODES.get(refusal.code, Close.NOT_ALLOWED)
        if code < Close.PROTOCOL_ERROR:
            # From a CONNECT_ERROR stock clients don't come back; from the end of a connection they do.
            self.session.end(code, last_words=True)
        else:
            self.session.send(wire(name).connect_error(refusal.message, refusal.as_dict()))

    async def _let_in(self, socket: Socket, channel: Channel, name: str, receive: Receive | None) -> None:
        await check_ready(get_hub())
        await identify(socket, self._claim(socket.auth), receive)
        wanted = socket.auth.get("recover") is True and socket.user is not None
        recovery = Recovery(socket, name) if wanted else None
        if recovery is not None:
            channel.wire, channel.recovery = recovery.wire, recovery
            await recovery.resume()
        if self.session.ended or self._sockets.get(name) is not socket:
            return
        if socket.closed is not None:
            raise EventError("forbidden", "Your right to be here has just ended.")
        more = {} if recovery is None else {"pid": recovery.pid}
        admit(socket, partial(channel.greet, channel.wire.connect(socket.id, **more)))
        for start in () if recovery is None else recovery.starts:
            start()
        await socket.namespace.connect(socket)

    def _claim(self, auth: dict[str, Any]) -> Claim | None:
        token = auth.get("token")
        if isinstance(token, str):
            return Claim("token", token)
        return self.session.handshake.claim() or self.session.opening.claim()

    # -- Events

    async def _event(self, socket: Socket, packet: Packet, receive: Receive | None) -> None:
        try:
            event = _as_event(socket.namespace, packet)
        except EventError as refusal:
            self._refuse_event(socket, packet, refusal)
            return
        if socket.in_work >= IN_WORK and not socket.namespace.is_direct(event.name):
            await free_slot(socket, receive)
        if socket.closed is None:
            socket.namespace.dispatch(socket, event)

    def _refuse_event(self, socket: Socket, packet: Packet, refusal: EventError) -> None:
        """It counts as one all the same."""
        try:
            if socket.meter is not None:
                socket.meter.take()
        except EventError as limited:
            refusal = limited
        socket.refuse(refusal, packet.id)

    def _ack(self, socket: Socket, packet: Packet) -> None:
        if packet.id is None:
            raise BadPacket("an ack has an id")
        arguments = packet.data or []
        answer = arguments if socket.namespace.arguments else next(iter(arguments), None)
        socket.namespace.answered(socket, Ack(packet.id, answer))


def _as_event(namespace: Namespace, packet: Packet) -> Event:
    """Raises `too_large` or `bad_data`."""
    if packet.too_large:
        raise EventError("too_large", f"an event is at most {FRAME_IN} bytes of UTF-8", limit=FRAME_IN)
    name, *arguments = packet.data
    if namespace.arguments:
        return Event(str(name), {"arguments": arguments}, packet.id)
    if packet.attachments:
        raise EventError("bad_data", f"/{namespace.path} takes no binary data", field="data")
    if len(arguments) > 1:
        raise EventError("bad_data", "an event takes one argument, an object", field="data")
    return Event(str(name), next(iter(arguments), None), packet.id)


class Recovery:
    """Resumes the rooms of a client that comes back with the `pid` and the offset it had: all of
    them where it stood, or, if one of them can't be, none, and the client joins anew.

    The offset tells how far the client got in each room, since one connection keeps the order of
    everything sent over it. The log has the rest, whichever process is asked and however often
    the server was killed. Rights are checked as for any join, before anything is sent.
    """

    def __init__(self, socket: Socket, namespace: str) -> None:
        self._socket = socket
        self.pid = secrets.token_urlsafe(12)
        self.wire = Resumable(namespace, self._offset)
        self.starts: list[Callable[[], None]] = []
        #: The rooms of the offset that the client has; None where it has that of another session.
        self._told: set[str] | None = set()

    async def resume(self) -> None:
        pid, offset = self._socket.auth.get("pid"), self._socket.auth.get("offset")
        if not (isinstance(pid, str) and isinstance(offset, str) and offset):
            return
        try:
            self.starts = [await self._join(place.split(":")) for place in offset.split(",")[:RESUMED]]
        except (EventError, ValueError) as refusal:
            if isinstance(refusal, EventError) and refusal.temporary:
                raise  # the client comes back with what it has
            self._told = None
            for slug in list(get_hub().joined(self._socket)):
                get_hub().leave(self._socket, slug)
            return
        self.pid, self._told = pid[:64], self._rooms

    async def _join(self, place: list[str]) -> Callable[[], None]:
        slug, epoch, after = msgspec.convert(place, PLACE, strict=False)
        answer, start = await get_hub().join(self._socket, slug, after=after, epoch=epoch, ack=False)
        if answer.get("reset"):
            raise ValueError("the log is another one")
        return start

    @property
    def _rooms(self) -> set[str]:
        return set(get_hub().joined(self._socket))

    def moved(self) -> str | None:
        """A packet with the offset, if the client's is of other rooms than it is in now."""
        return None if self._rooms == self._told else self.wire.standing(self._offset())

    def _offset(self, room: str | None = None, seq: int = 0) -> str:
        """As it is once the client has this entry. Empty where there is no room, or the rooms
        can't be resumed by numbers alone, or are too many."""
        self._told = self._rooms
        places = get_hub().places(self._socket)
        if len(places) > RESUMED or not all(place.room.ordered for place in places):
            return ""
        sent = {place.room.slug: (place.room.epoch, place.sent) for place in places}
        if room is not None:
            sent[room] = (sent[room][0], seq)
        return ",".join(f"{slug}:{epoch}:{upto}" for slug, (epoch, upto) in sent.items())
