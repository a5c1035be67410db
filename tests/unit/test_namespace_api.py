"""What the API refuses at its caller, how namespaces are found, and whom addresses reach."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from chat.emit import aemit, emit
from chat.errors import EventError
from chat.hub.addresses import Address, Addresses, user_room
from chat.hub.events import RESERVED, Events
from chat.models import Message
from chat.namespace import Broadcast, Namespace, Slug, Socket, on, on_any, on_server, register, registry
from chat.wire.lines import FRAME_OUT, lines
from tests.support.server import ROOT, environment
from tests.tickets.middleware import OfficeHours, tidy_title

from .test_namespace import Connection, Probe

Emitting = Callable[[str, Any], Any]


@pytest.fixture(params=["socket", "socket with ack", "broadcast", "broadcast with ack", "emit", "aemit"])
async def emitting(request: pytest.FixtureRequest) -> Emitting:
    """Every way to emit."""
    socket = Connection(Probe()).socket

    async def emit_it(event: str, data: Any) -> None:
        emit("probe", event, data)

    ways: dict[str, Emitting] = {
        "socket": socket.emit,
        "socket with ack": lambda event, data: socket.emit(event, data, ack=True),
        "broadcast": Broadcast("probe").emit,
        "broadcast with ack": lambda event, data: Broadcast("probe").emit(event, data, ack=True),
        "emit": emit_it,
        "aemit": lambda event, data: aemit("probe", event, data),
    }
    return ways[request.param]


class TestWhatCannotBeEmitted:
    @pytest.mark.parametrize("kind", Message.Kind.values)
    async def test_kinds_of_entries(self, emitting: Emitting, kind: str) -> None:
        with pytest.raises(ValueError, match="kind of entry"):
            await emitting(kind, {})

    @pytest.mark.parametrize("name", sorted(RESERVED))
    async def test_names_that_clients_keep_for_themselves(self, emitting: Emitting, name: str) -> None:
        with pytest.raises(ValueError, match="take another"):
            await emitting(name, {})

    async def test_a_name_that_is_no_text(self, emitting: Emitting) -> None:
        with pytest.raises(TypeError, match="an event's name is a str"):
            await emitting(5, {})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "data",
        [object(), {"a": {None: 1}}, ["\ud800"], {"a": lambda: 1}],
        ids=["an object", "a key that is no text", "half a character", "a function"],
    )
    async def test_data_that_is_no_json(self, emitting: Emitting, data: Any) -> None:
        with pytest.raises(TypeError, match="the data is no JSON"):
            await emitting("bell", data)

    async def test_data_that_holds_itself(self, emitting: Emitting) -> None:
        data: list[Any] = []
        data.append(data)
        with pytest.raises(TypeError, match="the data is no JSON"):
            await emitting("bell", data)

    @pytest.mark.parametrize("text", ["x" * FRAME_OUT, "é" * (FRAME_OUT // 2), "\n" * (FRAME_OUT // 2)])
    async def test_data_larger_than_a_frame(self, emitting: Emitting, text: str) -> None:
        with pytest.raises(ValueError, match="at most 262144 bytes"):
            await emitting("bell", text)

    async def test_a_packet_of_exactly_a_frame_can_be(self) -> None:
        probe = Connection(Probe())
        text = "x" * (FRAME_OUT - len(lines.event("bell", "")))
        await probe.socket.emit("bell", text)
        assert probe.sent == [{"event": "bell", "data": text}]
        with pytest.raises(ValueError, match="too large"):
            await probe.socket.emit("bell", text + "x")

    async def test_what_may_be_dropped_has_no_ack(self) -> None:
        with pytest.raises(ValueError, match="leave out `volatile` or `ack`"):
            await Broadcast("probe").volatile.emit("bell", ack=True)

    async def test_a_refused_question_is_not_waited_for(self) -> None:
        socket = Connection(Probe()).socket
        with pytest.raises(TypeError):
            await socket.emit("bell", object(), ack=True)
        assert socket._acks == {}


class TestWhatCannotBeDoneToSockets:
    @pytest.mark.parametrize("room", ["user:7", "user:", "SZEtgfRaEljUlXADm"])
    async def test_rooms_of_others_cannot_be_joined(self, room: str) -> None:
        with pytest.raises(ValueError, match="nobody else can join it"):
            Connection(Probe()).socket.join("kitchen", room)
        with pytest.raises(ValueError, match="nobody else can join it"):
            await Broadcast("probe").sockets_join(["kitchen", room])

    async def test_the_id_of_every_socket_is_such_a_room(self) -> None:
        for _ in range(200):
            with pytest.raises(ValueError, match="nobody else can join it"):
                Connection(Probe()).socket.join(Connection(Probe()).socket.id)

    async def test_a_room_is_a_text(self) -> None:
        with pytest.raises(TypeError, match="a room's name is a str"):
            Connection(Probe()).socket.join(5)  # type: ignore[arg-type]

    @pytest.mark.parametrize("code", [0, 999, 1001, 1006, 2999, 5000])
    async def test_codes_that_no_server_may_close_with(self, code: int) -> None:
        with pytest.raises(ValueError, match="1000 or 3000 to 4999"):
            Connection(Probe()).socket.close(code)
        with pytest.raises(ValueError, match="1000 or 3000 to 4999"):
            await Broadcast("probe").disconnect_sockets(code)


class TestHandlersThatCannotWork:
    def test_a_handler_takes_a_socket(self) -> None:
        with pytest.raises(TypeError, match="takes `self`, `socket` and then the fields"):

            class Wrong(Namespace):
                @on("open")
                async def open(self) -> None: ...

    def test_every_field_has_a_type(self) -> None:
        with pytest.raises(TypeError, match="`desk` needs a type"):

            class Wrong(Namespace):
                @on("open")
                async def open(self, socket: Socket, desk) -> None: ...  # type: ignore[no-untyped-def]

    @pytest.mark.parametrize("mark", [on_any, on_server("cue")])
    def test_what_is_awaited_is_asynchronous(self, mark: Callable[..., Any]) -> None:
        with pytest.raises(TypeError, match="is an `async def`"):
            mark(lambda self, socket, event, data: None)


class TestRegistering:
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "_registered", {})

    def test_a_namespace_is_registered_under_its_path(self) -> None:
        class Tickets(Namespace):
            path = "help.desk-2"

        assert register(Tickets) is Tickets
        register(Tickets)
        assert registry._registered == {"help.desk-2": Tickets}

    @pytest.mark.parametrize("path", ["", "Tickets", "/tickets", "tickets/", "a b", "-a", "a" * 65, "ä"])
    def test_a_path_is_a_name(self, path: str) -> None:
        class Tickets(Namespace): ...

        Tickets.path = path
        with pytest.raises(ImproperlyConfigured, match=r"Tickets\.path is .*; it is 1 to 64 of a-z"):
            register(Tickets)

    def test_a_namespace_without_a_path_is_told_so(self) -> None:
        class Tickets(Namespace): ...

        with pytest.raises(ImproperlyConfigured, match=r"Tickets\.path is ''"):
            register(Tickets)

    def test_two_namespaces_do_not_share_a_path(self) -> None:
        class Tickets(Namespace):
            path = "tickets"

        class Others(Namespace):
            path = "tickets"

        register(Tickets)
        with pytest.raises(
            ImproperlyConfigured, match=r"/tickets is .*Tickets already; give Others another path"
        ):
            register(Others)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("chat", "/chat is chat.namespaces.chat.Chat already; give Intruder another path"),
        ("The Chat", "Intruder.path is 'The Chat'; it is 1 to 64 of a-z, 0-9, `.`, `_` and `-`"),
    ],
)
def test_a_server_with_such_a_namespace_does_not_start(tmp_path: Any, path: str, message: str) -> None:
    app = tmp_path / "intruder"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "namespaces.py").write_text(
        "from chat.namespace import Namespace, register\n\n"
        f"@register\nclass Intruder(Namespace):\n    path = {path!r}\n"
    )
    (tmp_path / "intruded.py").write_text(
        "from chatsite.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'intruder']\n"
    )
    env = {
        **environment(f"sqlite:///{tmp_path / 'db.sqlite3'}"),
        "DJANGO_SETTINGS_MODULE": "intruded",
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
    }
    server = subprocess.run(
        [sys.executable, "-m", "daphne", "-p", "0", "chatsite.asgi:application"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert server.returncode != 0
    assert message in server.stderr.splitlines()[-1]


# Addresses


class Hashable(SimpleNamespace):
    """All that addresses ask of a socket."""

    __hash__ = object.__hash__


SOCKETS = range(4)
ROOMS = ["a", "b", "c"]
moves = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "join", "leave"]), st.sampled_from(SOCKETS), st.sampled_from(ROOMS)
    ),
    max_size=40,
)
names = st.lists(  # of rooms, sockets and people
    st.sampled_from([*ROOMS, "s0", "s1", user_room(1), user_room(2), "nowhere"]), max_size=4
)


class World:
    """Addresses, and beside them the plainest thing that says the same."""

    def __init__(self) -> None:
        self.addresses = Addresses(lambda namespace, room: ())
        self.sockets = [
            Hashable(id=f"s{n}", user=Hashable(id=n % 2 + 1), namespace_path="stage") for n in SOCKETS
        ]
        self.rooms: dict[int, set[str]] = {}
        for number in SOCKETS:
            self.move("add", number, "")

    def move(self, act: str, number: int, room: str) -> None:
        socket = self.sockets[number]
        if act == "add" and number not in self.rooms:
            self.addresses.add(socket)
            self.rooms[number] = set()
        elif act == "remove":
            self.addresses.remove(socket)
            self.rooms.pop(number, None)
        elif act == "join":
            self.addresses.join(socket, room)
            if number in self.rooms:
                self.rooms[number].add(room)
        elif act == "leave":
            assert self.addresses.leave(socket, room) == (room in self.rooms.get(number, ()))
            self.rooms.get(number, set()).discard(room)

    def names_of(self, number: int) -> set[str]:
        socket = self.sockets[number]
        return {*self.rooms[number], socket.id, user_room(socket.user.id)}


@given(moves, st.none() | names, names)
def test_an_address_reaches_each_socket_in_its_rooms_once(
    moved: list[tuple[str, int, str]], to: list[str] | None, except_: list[str]
) -> None:
    world = World()
    for move in moved:
        world.move(*move)
    reached = world.addresses.reached(Address("stage", None if to is None else tuple(to), tuple(except_)))
    expected = [
        world.sockets[number]
        for number in world.rooms
        if (to is None or world.names_of(number) & set(to)) and not world.names_of(number) & set(except_)
    ]
    assert sorted(each.id for each in reached) == sorted(each.id for each in expected)
    assert world.addresses.reached(Address("elsewhere", None if to is None else tuple(to))) == []


@given(moves)
def test_nothing_is_left_of_sockets_that_are_gone(moved: list[tuple[str, int, str]]) -> None:
    world = World()
    for move in moved:
        world.move(*move)
    for number in SOCKETS:
        world.move("remove", number, "")
    kept = world.addresses
    assert (kept._by_id, kept._rooms, kept._joined) == ({}, {}, {})
    assert not any(kept._everyone.values())


def some_sockets(count: int) -> tuple[Addresses, list[str]]:
    """Addresses of sockets that came in no order, and a list that gets the ids of the described."""
    addresses = Addresses(lambda *_: ())
    described: list[str] = []

    def describe(id: str) -> dict[str, str]:
        described.append(id)
        return {"id": id}

    for number in random.Random(1).sample(range(count), count):
        socket = Hashable(id=f"S{number:04}", user=None, namespace_path="stage" if number % 2 else "chat")
        socket.describe = partial(describe, socket.id)
        addresses.add(socket)
    return addresses, described


def events_of(addresses: Addresses) -> Events:
    hints = SimpleNamespace(alone=True)
    hub: Any = SimpleNamespace(addresses=addresses, hints=hints, lags=lambda socket: {})
    return Events(hub)


async def test_a_page_of_sockets_costs_as_much_as_it_shows() -> None:
    addresses, described = some_sockets(1000)
    page = await events_of(addresses).page_sockets("S0500", 3)
    assert [each["id"] for each in page] == described == ["S0501", "S0502", "S0503"]


async def test_others_have_their_turn_while_many_sockets_are_described() -> None:
    addresses, described = some_sockets(1000)
    finding = asyncio.create_task(events_of(addresses).find_sockets(Address("stage")))
    seen: list[int] = []
    while not finding.done():
        await asyncio.sleep(0)
        seen.append(len(described))
    assert len(finding.result()) == 500
    assert {100, 200, 300, 400} <= set(seen)


# The middleware of the documentation


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    def set_to(hour: int) -> None:
        monkeypatch.setattr(timezone, "localtime", lambda: SimpleNamespace(hour=hour))

    yield set_to


async def test_the_office_hours_of_the_documentation(hour: Callable[[int], None]) -> None:
    class Office(Namespace):
        path = "office"
        middleware = (OfficeHours(9, 17), tidy_title)

        @on("ticket:open")
        async def open_ticket(self, socket: Socket, desk: Slug, title: str) -> dict[str, str]:
            return {"title": title}

    office = Connection(Office())
    hour(8)
    with pytest.raises(EventError, match="Come back between 9 and 17"):
        await office.namespace.admit(office.socket)
    hour(9)
    await office.namespace.admit(office.socket)
    answer = await office.call("ticket:open", {"desk": "billing", "title": "  Paid twice "})
    assert answer["title"] == "Paid twice"
    assert answer.keys() == {"title", "at"}
    hour(17)
    assert (await office.call("ticket:open", {"desk": "billing", "title": "Late"}))["code"] == "unavailable"
