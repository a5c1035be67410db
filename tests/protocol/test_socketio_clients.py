"""Socket.IO's clients as people have them, python-socketio and socket.io-client, over real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from tests.conftest import Connect, MakeServer
from tests.support import Person, Refused, Server
from tests.support.engine import EVENT, WebSocket
from tests.support.robots import POLLING, UPGRADE, WEBSOCKET, NodeRobot, PythonRobot, Robot

Open = Callable[..., Awaitable[Robot]]

CLIENTS = ["python", "node"]
TRANSPORTS = {"websocket": WEBSOCKET, "polling": POLLING, "upgrade": UPGRADE}

each_transport = pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def open_as() -> AsyncIterator[Open]:
    """`await open_as("node", server, "chat", auth=…)`: a robot that has begun to connect."""
    robots: list[Robot] = []

    async def open_one(client: str, server: Server, namespace: str = "chat", **options: Any) -> Robot:
        robot: Robot = PythonRobot() if client == "python" else await NodeRobot.start()
        robots.append(robot)
        await robot.open(f"{server.origin}/{namespace}", **options)
        return robot

    yield open_one
    for robot in robots:
        await robot.close()


@pytest.fixture
def open_robot(client: str, open_as: Open) -> Open:
    return partial(open_as, client)


def token(person: Person, **more: Any) -> dict[str, Any]:
    return {"token": person.token, **more}


@each_transport
@pytest.mark.each_server
async def test_a_client_is_in_the_same_room_as_one_of_the_line_wire(
    server: Server, connect: Connect, room: str, open_robot: Open, transports: Sequence[str]
) -> None:
    bob = await connect("bob")
    alice = server.person("alice")
    robot = await open_robot(server, auth=token(alice), transports=transports)
    await robot.expect("connect")
    if transports != POLLING:
        assert await robot.expect("upgraded") == ["websocket"]
    assert (await robot.call("join", {"room": room}))["head"] == 0
    await bob.join(room)

    await bob.emit("typing", {"room": room})
    (typing,) = await robot.expect("typing")
    assert typing["user"] == {"id": bob.id, "name": bob.name}

    for number in range(3):
        said = {"room": room, "client_id": f"a-{number}", "body": f"from Socket.IO {number}"}
        assert (await robot.call("message", said))["seq"] == 2 * number + 1
        assert (await bob.say(room, f"from the lines {number}"))["seq"] == 2 * number + 2
    seen = await robot.gets(room, 6)
    entries = await bob.gets_upto(room, 6)
    assert seen == [(entry["seq"], entry["data"]["body"]) for entry in entries]
    first = next(arguments for event, arguments in robot.heard if event == "message")
    assert first == [{key: value for key, value in entries[0].items() if key != "event"}]


async def test_a_client_is_refused_with_the_reason(server: Server, room: str, open_robot: Open) -> None:
    alice = server.person("alice")
    robot = await open_robot(server, auth=token(alice))
    await robot.expect("connect")
    with pytest.raises(Refused, match="not_found"):
        await robot.call("join", {"room": "there-is-none"})
    with pytest.raises(Refused, match="unknown_event"):
        await robot.call("nothing", {})
    with pytest.raises(Refused, match="bad_data"):
        await robot.call("join", {"room": 7})


@pytest.mark.parametrize(
    ("namespace", "known", "code"),
    [("admin", True, "forbidden"), ("chat", False, "unauthenticated"), ("nothing", True, None)],
)
async def test_a_client_is_told_why_it_may_not_come_in(
    server: Server, open_robot: Open, namespace: str, known: bool, code: str | None
) -> None:
    auth = token(server.person("alice")) if known else {"token": "wrong"}
    robot = await open_robot(server, namespace, auth=auth)
    (error,) = await robot.expect("connect_error")
    if code is None:
        assert "Invalid namespace" in str(error)
    else:
        assert error["data"]["code"] == code


@each_transport
async def test_a_sessions_cookie_lets_a_client_in(
    server: Server, open_robot: Open, transports: Sequence[str]
) -> None:
    headers = {"Cookie": server.cookie(server.person("alice")), "Origin": server.origin}
    robot = await open_robot(server, transports=transports, headers=headers)
    await robot.expect("connect")
    assert "rooms" in await robot.call("rooms")


async def test_a_cookie_from_a_foreign_page_does_not(server: Server, open_robot: Open) -> None:
    headers = {"Cookie": server.cookie(server.person("alice")), "Origin": "https://evil.example"}
    robot = await open_robot(server, transports=WEBSOCKET, headers=headers)
    (error,) = await robot.expect("connect_error")
    assert error["data"]["code"] == "forbidden"


async def test_orders_are_made_and_listed(server: Server, open_robot: Open) -> None:
    robot = await open_robot(server, "orders", auth=token(server.person("alice")))
    await robot.expect("connect")
    queue = server.room("queue")  # a name that is free in /orders
    await robot.call("queue:create", {"queue": queue})
    order = {"queue": queue, "client_id": "o-1", "item": {"cups": 2}}
    assert (await robot.call("order:create", order))["seq"] == 1
    assert (await robot.call("order:create", order))["duplicate"] is True
    (listed,) = (await robot.call("order:list", {"queue": queue}))["orders"]
    assert listed["item"] == {"cups": 2}


@pytest.fixture(scope="module")
def home(new_server: MakeServer) -> Iterator[Server]:
    """A server that is restarted and killed."""
    with new_server("uvicorn") as server:
        yield server


async def test_clients_come_back_by_themselves_after_a_restart(home: Server, open_as: Open) -> None:
    alice = home.person("alice")
    room = home.room("room", members=[alice])
    robots = [
        await open_as(client, home, auth=token(alice), transports=transports)
        for client in CLIENTS
        for transports in TRANSPORTS.values()
    ]
    for robot in robots:
        await robot.expect("connect")
        await robot.call("join", {"room": room})
    await asyncio.to_thread(home.stop)
    home.start()  # here: it ends with the thread that starts it
    for robot in robots:
        await robot.expect("disconnect")
        await robot.expect("connect")
        await robot.call("join", {"room": room})
    await robots[0].call("message", {"room": room, "client_id": "after", "body": "back again"})
    for robot in robots:
        assert await robot.gets(room, 1) == [(1, "back again")]


class TestRecovery:
    """`auth: {recover: true}`: a stock JavaScript client misses nothing."""

    @pytest.fixture
    def open_robot(self, open_as: Open) -> Open:
        return partial(open_as, "node")

    async def test_what_came_while_the_server_was_dead_comes_once_and_in_order(
        self, home: Server, open_robot: Open
    ) -> None:
        alice, bob = home.people(2)
        rooms = [home.room(name, members=[bob, alice]) for name in ("one", "two")]
        auth = token(alice, recover=True)
        robots = [await open_robot(home, auth=auth, transports=way) for way in (WEBSOCKET, POLLING)]
        for robot in robots:
            assert (await robot.expect("connect"))[0]["recovered"] is False
            for room in rooms:
                await robot.call("join", {"room": room})
        for room in rooms:
            await asyncio.to_thread(home.django, write, bob.id, room, range(5))
        for robot in robots:
            await all_of(robot, rooms, 5)
        for upto in (10, 15):
            home.kill()
            for room in rooms:
                await asyncio.to_thread(home.django, write, bob.id, room, range(upto - 5, upto))
            home.start()
            for robot in robots:
                assert (await robot.expect("connect"))[0]["recovered"] is True
                await all_of(robot, rooms, upto)

    async def test_rights_are_asked_before_anything_is_sent(self, home: Server, open_robot: Open) -> None:
        alice, bob, carol = home.people(3)
        private = home.room("private", members=[bob, alice], private=True)
        public = home.room("public", members=[bob, carol])
        put_out, banned = [
            await open_robot(home, auth=token(person, recover=True)) for person in (alice, carol)
        ]
        for robot, room in ((put_out, private), (banned, public)):
            await robot.expect("connect")
            await robot.call("join", {"room": room})
            await asyncio.to_thread(home.django, write, bob.id, room, range(1))
            await robot.gets(room, 1)
        home.kill()
        for room in (private, public):
            await asyncio.to_thread(home.django, write, bob.id, room, range(1, 5))
        await asyncio.to_thread(home.django, take_out, alice.id, private)
        await asyncio.to_thread(home.django, ban, carol.id)
        home.start()
        assert (await put_out.expect("connect"))[0]["recovered"] is False
        with pytest.raises(Refused, match="not_found"):
            await put_out.call("join", {"room": private})
        await banned.until(lambda: any(code_of(each) == "banned" for each in banned.heard))
        assert put_out.messages(private) == [(1, "line 0")]
        assert banned.messages(public) == [(1, "line 0")]

    async def test_an_offset_that_is_none_of_this_log_is_as_good_as_no_offset(self, home: Server) -> None:
        alice = home.person("alice")
        room = home.room("room", members=[alice])
        offsets = [f"{room}:another:3", f"{room}:3", "nonsense", ",,,", "a:b:c", f"{room}::-1", 7, None]
        for offset in offsets:
            session = await WebSocket.open(home.origin)
            answer = await session.connect("/chat", token(alice, recover=True, pid="mine", offset=offset))
            assert answer.data["pid"] != "mine"
            assert (await session.call("join", {"room": room}, namespace="/chat"))["data"]["room"] == room
            await session.drop()

    async def test_rooms_joined_and_left_in_silence_are_part_of_it(self, home: Server) -> None:
        alice, bob = home.people(2)
        one, two, three = (home.room(name, members=[alice, bob]) for name in ("one", "two", "three"))
        session, pid = await recovering(home, alice)
        for room in (one, two):
            await session.call("join", {"room": room}, namespace="/chat")
        await asyncio.to_thread(home.django, write, bob.id, one, range(1))
        (_, offset) = await session.expect("message", "/chat")
        for event, room in (("leave", one), ("join", three)):
            await session.call(event, {"room": room}, namespace="/chat")
            offset = last_offset(session, offset)
        await session.drop()
        for room in (one, two, three):
            await asyncio.to_thread(home.django, write, bob.id, room, range(1, 2))
        session, again = await recovering(home, alice, pid=pid, offset=offset)
        assert again == pid
        entries = [(await session.expect("message", "/chat"))[0] for _ in range(2)]
        assert {(each["room"], each["data"]["body"]) for each in entries} == {
            (two, "line 1"),
            (three, "line 1"),
        }
        answer = await session.call("leave", {"room": one}, namespace="/chat")
        assert answer["error"]["code"] == "not_found", "it had left that room"

    async def test_the_offset_of_a_session_that_was_not_resumed_is_taken_back(self, home: Server) -> None:
        alice = home.person("alice")
        room = home.room("room", members=[alice])
        session, _ = await recovering(home, alice, pid="mine", offset=f"{room}:another:3")
        assert await session.expect("offset", "/chat") == [""]


async def recovering(home: Server, person: Person, **auth: str) -> tuple[WebSocket, str]:
    """A connection of one who recovers, and its `pid`."""
    session = await WebSocket.open(home.origin)
    answer = await session.connect("/chat", token(person, recover=True, **auth))
    return session, answer.data["pid"]


def last_offset(session: WebSocket, before: str) -> str:
    """As a stock client keeps it: the text at the end of the latest event."""
    ends = [each.data[-1] for each in session.kept if each.type == EVENT]
    return [before, *(end for end in ends if isinstance(end, str))][-1]


async def all_of(robot: Robot, rooms: list[str], upto: int) -> None:
    for room in rooms:
        assert await robot.gets(room, upto) == [(number + 1, f"line {number}") for number in range(upto)]


def code_of(heard: tuple[str, list[Any]]) -> Any:
    event, arguments = heard
    if event != "connect_error" or not isinstance(arguments[0].get("data"), dict):
        return None
    return arguments[0]["data"]["code"]


def write(user: int, room: str, numbers: Sequence[int]) -> None:
    from chat.delivery import door
    from chat.delivery.entries import Draft

    for number in numbers:
        door.write(Draft("chat", room, user, f"c-{number}", "message", body=f"line {number}"))


def take_out(user: int, room: str) -> None:
    from chat.models import Membership

    Membership.objects.filter(user_id=user, room__slug=room).delete()


def ban(user: int) -> None:
    from chat.models import Ban

    Ban.objects.create(user_id=user, reason="spam")
