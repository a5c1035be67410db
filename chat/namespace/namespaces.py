"""Namespaces: from a packet to its handler, and back to an answer."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
from django.db import InterfaceError, OperationalError

from chat.delivery import door
from chat.delivery.entries import Draft, Receipt
from chat.errors import EventError
from chat.hub.hub import ROOMS_A_SOCKET, Hub, get_hub
from chat.wire.packets import Ack, Event

from .broadcast import Answers, Broadcast, RemoteSocket
from .handlers import Handler, Slug, on
from .sockets import ACK_TIMEOUT, Socket, Turn

logger = logging.getLogger(__name__)

IN_WORK = 64  #: events of a socket in work at a time

Next = Callable[[Socket, Event], Awaitable[Any]]


@dataclass(slots=True)
class Work:
    """One event on its way through the middleware to its handler and back."""

    socket: Socket
    event: Event
    handler: Handler | None
    number: int
    turn: Turn | None
    queued: bool = False  #: its write has reached the door, which keeps the lane from then on
    after: list[Callable[[], Any]] | None = None


_current: ContextVar[Work] = ContextVar("chat.work")
_running: set[asyncio.Task[None]] = set()


def _start(coroutine: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(coroutine)
    _running.add(task)  # the loop itself keeps only weak references
    task.add_done_callback(_running.discard)


def after_answer(callback: Callable[[], Any]) -> None:
    """Called in a handler: run `callback` once the event's ack is in the outbox."""
    work = _current.get()
    work.after = [*(work.after or ()), callback]


async def finish_handlers(seconds: float) -> None:
    """Wait until every event in work, of all sockets, is answered, but not longer than this."""
    if _running:
        await asyncio.wait(set(_running), timeout=seconds)


class Namespace:
    """A set of events under one path. Subclasses mark handlers with `@on`.

    One instance serves all its sockets. Handlers are found in `handlers` alone, so that an
    event's name never reaches an attribute that wasn't meant to be called.
    """

    path: ClassVar[str]
    #: Whether events have any number of arguments, binary data too, as Socket.IO has them: a
    #: handler then takes `arguments: list[Any]` and may return `Arguments`. (Else one object.)
    arguments: ClassVar[bool] = False
    middleware: ClassVar[Sequence[Any]] = ()
    handlers: ClassVar[dict[str, Handler]] = {}
    listeners: ClassVar[tuple[Callable[..., Any], ...]] = ()
    server_handlers: ClassVar[dict[str, Callable[..., Any]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in vars(cls).items():
            marks = getattr(value, "__dict__", {})
            if marks.get("events") and hasattr(Namespace, name):
                raise TypeError(f"{cls.__name__}.{name} hides Namespace.{name}: name the method otherwise")
        cls._collect()

    @classmethod
    def _collect(cls) -> None:
        """Take in what `@on`, `@on_any` and `@on_server` have marked, beside what was inherited."""
        marked = [(value, value.__dict__) for value in vars(cls).values() if inspect.isfunction(value)]
        own = {event: Handler(value) for value, marks in marked for event in marks.get("events", ())}
        cls.handlers = {**cls.handlers, **own}
        cls.listeners = (*cls.listeners, *(value for value, marks in marked if marks.get("any")))
        served = {event: value for value, marks in marked for event in marks.get("server_events", ())}
        cls.server_handlers = {**cls.server_handlers, **served}

    def __init__(self) -> None:
        self._chain: Next = self._handle
        for each in reversed(self.middleware):
            if callable(each):
                self._chain = _link(each, self._chain)

    @property
    def hub(self) -> Hub:
        return get_hub()

    # -- Plain rooms: what clients may join where a namespace says nothing else

    @on("join")
    async def _join(self, socket: Socket, room: Slug) -> dict[str, Any]:
        joined = self.hub.addresses.joined(socket)
        if room not in joined and len(joined) >= ROOMS_A_SOCKET:
            raise EventError("rate_limited", f"a socket can be in {ROOMS_A_SOCKET} rooms", retry_after=60)
        socket.join(room)
        self.hub.activity.note("a user joined a room", socket=socket, room=room)
        return {"room": room}

    @on("leave")
    async def _leave(self, socket: Socket, room: Slug) -> dict[str, Any]:
        if room not in self.hub.addresses.joined(socket):
            raise EventError("not_found", f"this socket has not joined {room!r}", field="room")
        socket.leave(room)
        self.hub.activity.note("a user left a room", socket=socket, room=room)
        return {"room": room}

    # -- Emitting

    async def emit(
        self,
        event: str,
        data: Any = None,
        *,
        ack: bool = False,
        timeout: float = ACK_TIMEOUT,  # noqa: ASYNC109
    ) -> Answers | None:
        """To every socket of the namespace, in every process; see `Broadcast.emit`."""
        return await self.everyone.emit(event, data, ack=ack, timeout=timeout)

    def to(self, *rooms: str | Iterable[str]) -> Broadcast:
        return self.everyone.to(*rooms)

    def except_(self, *rooms: str | Iterable[str]) -> Broadcast:
        return self.everyone.except_(*rooms)

    @property
    def volatile(self) -> Broadcast:
        return self.everyone.volatile

    @property
    def local(self) -> Broadcast:
        return self.everyone.local

    @property
    def everyone(self) -> Broadcast:
        """Every socket of the namespace."""
        return Broadcast(self.path)

    async def fetch_sockets(self, *rooms: str | Iterable[str]) -> list[RemoteSocket]:
        """The sockets of these rooms, or all of them, in every process."""
        return await (self.to(*rooms) if rooms else self.everyone).fetch_sockets()

    async def server_emit(self, event: str, data: Any = None) -> None:
        """Say something to this namespace in the other processes, at most once: `@on_server`."""
        self.hub.events.server_emit(self.path, event, msgspec.to_builtins(data, str_keys=True))

    def heard(self, event: str, data: Any) -> None:
        """What another process's `server_emit` said."""
        if (handler := self.server_handlers.get(event)) is not None:
            self.hub.spawn(handler(self, data))

    # -- Sockets coming and going

    async def connect(self, socket: Socket) -> None:
        """Called once the socket is let in, after its `connect` packet."""

    async def disconnect(self, socket: Socket) -> None:
        """Called once the socket is gone and its handlers have finished."""

    async def admit(self, socket: Socket) -> None:
        """Ask each middleware whether the socket may come in; the first `EventError` refuses it."""
        for each in self.middleware:
            if hasattr(each, "connect"):
                await each.connect(socket)

    def recheck(self, socket: Socket) -> None:
        """Ask each middleware whether the socket may stay, now that its person's rights have changed."""
        for each in self.middleware:
            if hasattr(each, "recheck"):
                each.recheck(socket)

    def farewell(self, socket: Socket) -> None:
        """The socket is gone: let its handlers finish, then `disconnect`."""
        socket.gone()
        if socket.admitted:
            _start(self._farewell(socket))

    async def _farewell(self, socket: Socket) -> None:
        while socket.in_work:
            await socket.slot()
        try:
            await self.disconnect(socket)
        except Exception:
            logger.exception("after a socket of /%s was gone", self.path)

    async def send(self, socket: Socket, draft: Draft) -> Receipt:
        """Append to a room's log, in the order of the socket's packets; returns after the commit."""
        stored = door.submit(self.in_order(socket, draft))
        work = _current.get(None)
        if work is not None:
            work.queued = True
            if work.turn is not None:
                work.turn.finish()
        return await stored

    def in_order(self, socket: Socket, draft: Draft) -> Draft:
        """The draft with its place among the socket's writes: one before it that was refused for now
        holds it back. For what a handler stores in another way than by `send`."""
        work = _current.get(None)
        draft.lane = socket.lane(draft.room)
        draft.number = socket.next_number() if work is None else work.number
        return draft

    def _where(self, event: Event) -> str:
        return f"{event.name[:64]!r} of /{self.path}"

    def is_direct(self, event: str) -> bool:
        handler = self.handlers.get(event)
        return handler is not None and handler.direct

    def dispatch(self, socket: Socket, event: Event) -> None:
        """Start an event's handler. Its answer goes to the socket's outbox."""
        handler = self.handlers.get(event.name)
        number = socket.next_number()
        if handler is not None and handler.direct:
            self._dispatch_direct(socket, event, handler)
            return
        socket.in_work += 1
        turn = socket.turn(handler.room_of(event.data)) if handler is not None else None
        _start(self._run(Work(socket, event, handler, number, turn)))

    def answered(self, socket: Socket, ack: Ack) -> None:
        """A client's ack to an event of ours."""
        try:
            if socket.meter is not None:
                socket.meter.take_free()
            socket.answered(ack)
        except EventError as error:
            socket.refuse(error)

    def _dispatch_direct(self, socket: Socket, event: Event, handler: Handler) -> None:
        wire = socket.outbox.wire
        try:
            if socket.meter is not None:
                socket.meter.take_free()
            answer = handler.call(self, socket, event.data)
            if event.id is not None:
                socket.outbox.put(wire.ack(event.id, answer))
        except EventError as error:
            socket.outbox.put(wire.error(error, event.id, event.name))
        except Exception as failure:
            socket.outbox.put(wire.error(internal_error(self._where(event), failure), event.id, event.name))

    async def _run(self, work: Work) -> None:
        socket = work.socket
        _current.set(work)
        try:
            if work.turn is not None:
                await work.turn.come()
            packet = await self._answer(work)
            if packet is not None:
                socket.outbox.put(packet)
            for callback in work.after or ():
                callback()
        except Exception:
            logger.exception("after the answer to %s", self._where(work.event))
        finally:
            if work.turn is not None:
                work.turn.finish()
            socket.finish_one()

    async def _answer(self, work: Work) -> str | None:
        """The packet that answers the event; None where it wants no ack and went well."""
        event, wire = work.event, work.socket.outbox.wire
        try:
            answer = await self._chain(work.socket, event)
            return None if event.id is None else wire.ack(event.id, answer)
        except EventError as refusal:
            error = refusal
        except (OperationalError, InterfaceError) as outage:
            logger.warning("%s was refused for now: %s", self._where(event), outage)
            error = EventError("unavailable", "the database can't be reached now")
        except Exception as failure:
            error = internal_error(self._where(event), failure)
        self._note(work, error)
        return wire.error(error, event.id, event.name[:64])

    async def _handle(self, socket: Socket, event: Event) -> Any:
        """The innermost link of the chain."""
        for listener in self.listeners:
            await listener(self, socket, event.name, event.data)
        handler = self.handlers.get(event.name)
        if handler is None:
            raise EventError("unknown_event", f"/{self.path} has no event of that name")
        return await handler.call(self, socket, event.data)

    def _note(self, work: Work, error: EventError) -> None:
        """Keep a sender's order: a write that is refused for now before it reached the door
        holds back its socket's later ones in that room, until it is answered for good."""
        work.after = None
        if work.queued or work.handler is None or not work.handler.writes:
            return
        room = work.handler.room_of(work.event.data)
        client_id = None if room is None else work.event.data.get("client_id")
        if room is None or not isinstance(client_id, str):
            return
        if error.temporary or room in work.socket.lanes:
            draft = Draft(self.path, room, 0, client_id, work.event.name, number=work.number)
            work.socket.lane(room).answered(draft, error)


Namespace._collect()


def internal_error(where: str, failure: Exception) -> EventError:
    """An answer that tells the client nothing but where the log has the traceback."""
    reference = secrets.token_hex(6)
    logger.error("internal error %s: %s", reference, where, exc_info=failure)
    return EventError("internal", f"an error of the server's, logged as {reference}", reference=reference)


def _link(middleware: Callable[[Socket, Event, Next], Awaitable[Any]], rest: Next) -> Next:
    async def link(socket: Socket, event: Event) -> Any:
        return await middleware(socket, event, rest)

    return link
