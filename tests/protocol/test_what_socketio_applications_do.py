"""What Socket.IO applications do, each by the names that it has there, over a real server.

| There | Here |
| --- | --- |
| Chat Example: what one sends, all others see at once | `TestChatExample` |
| proof of life: "a user connected", "user disconnected" on the console | `TestProofOfLife` |
| `io.emit`, `socket.broadcast.emit` | `TestEmitAndBroadcast` |
| `socket.join("some room")`, `socket.leave("some room")` | `TestJoinAndLeave` |
| namespaces with their own handlers: `/orders`, `/users` | `TestNamespacesWithTheirOwnHandlers` |
| rooms belong to a namespace | `TestRoomsBelongToANamespace` |
| middlewares: authentication, data manipulation, before or after an event | `TestMiddlewares` |
| `/admin`, authorized users only, deleting users | `TestAdmin` |
| queued messages with guaranteed delivery, acknowledged | `TestQueuedMessages` |
| ordered and unordered queues | `TestOrderedAndUnorderedQueues` |
| an event-based messaging server | `TestAnEventBasedMessagingServer` |
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chat.emit import emit
from tests.conftest import Connect
from tests.stage.calls import namespace, socket
from tests.support import Client, Refused, Server
from tests.support.server import fresh

from .saying import message

pytestmark = pytest.mark.each_server


@pytest.fixture
def server(server_kind: str, extended: Callable[[str], Server]) -> Server:
    return extended(server_kind)


def events(client: Client) -> list[str]:
    return [packet["event"] for packet in client.packets if "event" in packet]


@asynccontextmanager
async def coming_back(client: Client, server: Server, namespace: str = "chat") -> AsyncIterator[Client]:
    """The same person on a new connection."""
    again = await Client.open(server.ws, namespace, token=client.person.token)
    yield again
    await again.drop()


class TestChatExample:
    async def test_what_one_sends_all_others_see_at_once(
        self, alice: Client, bob: Client, charlie: Client, room: str
    ) -> None:
        people = (alice, bob, charlie)
        for client in people:
            await client.join(room)
        await alice.say(room, "hello")
        await bob.say(room, "hello, Alice")
        for client in people:
            await client.gets_upto(room, 2)
            assert client.bodies(room) == ["hello", "hello, Alice"]
        assert bob.log[room][0]["from"] == {"id": alice.id, "name": alice.name}


class TestProofOfLife:
    async def test_a_user_connected_and_a_user_disconnected_on_the_console(
        self, connect: Connect, server: Server
    ) -> None:
        staff = await connect(server.person("sam", staff=True), namespace="admin")
        await staff.call("log:watch")
        alice = await connect("alice")
        await staff.expect("log", text="a user connected", user=alice.name)
        await alice.close()
        line = await staff.expect("log", text="a user disconnected", user=alice.name)
        who = f"user={alice.name} id={alice.id} namespace=/chat sid={line['data']['sid']}"
        assert f"a user connected {who}" in server.log(1000)
        assert f"a user disconnected {who}" in server.log(1000)


class TestEmitAndBroadcast:
    @pytest.fixture
    async def people(self, connect: Connect) -> list[Client]:
        return [await connect(name, namespace="stage") for name in ("alice", "bob", "charlie")]

    async def heard(self, people: list[Client]) -> list[list[str]]:
        """The events each has got, once everything emitted so far has come."""
        for client in people:
            await client.call("direct")
        return [events(client)[1:] for client in people]

    async def test_namespace_emit_reaches_everyone(self, people: list[Client]) -> None:
        await namespace(people[0]).emit("bell")
        assert await self.heard(people) == [["bell"], ["bell"], ["bell"]]

    async def test_socket_broadcast_emit_reaches_all_but_the_emitting_socket(
        self, people: list[Client]
    ) -> None:
        await socket(people[0]).broadcast.emit("bell")
        assert await self.heard(people) == [[], ["bell"], ["bell"]]

    async def test_to_and_except(self, people: list[Client]) -> None:
        rooms = [fresh("room"), fresh("room")]
        for client in people:
            await client.call("join", {"room": rooms[0]})
        await people[1].call("join", {"room": rooms[1]})
        await namespace(people[0]).to(*rooms).emit("to both rooms, once")
        await namespace(people[0]).to(rooms[0]).except_(rooms[1]).emit("but the second")
        assert await self.heard(people) == [
            ["to both rooms, once", "but the second"],
            ["to both rooms, once"],
            ["to both rooms, once", "but the second"],
        ]


class TestJoinAndLeave:
    async def test_the_server_joins_and_leaves_for_a_socket(self, connect: Connect) -> None:
        alice, bob = [await connect(name, namespace="stage") for name in ("alice", "bob")]
        await socket(alice).join("some room")
        await namespace(bob).to("some room").emit("first")
        await socket(alice).leave("some room")
        await namespace(bob).to("some room").emit("second")
        await namespace(bob).emit("third")
        await alice.expect("third")
        assert events(alice) == ["connect", "first", "third"]

    @pytest.mark.parametrize("path", ["users", "admin", "stage", "tickets"])
    async def test_so_does_a_client_over_the_wire(self, connect: Connect, server: Server, path: str) -> None:
        alice = await connect(server.person("alice", staff=True), namespace=path)
        room = fresh("room")
        await alice.call("join", {"room": room})
        for word in ("first", "second", "third"):
            server.django(emit, path, word, to=room if word != "third" else f"user:{alice.id}")
            if word != "second":
                await alice.expect(word)
            if word == "first":
                await alice.call("leave", {"room": room})
        assert [word for word in events(alice) if word in ("first", "second", "third")] == ["first", "third"]

    async def test_in_the_chat_a_client_joins_a_log_and_in_orders_a_queue(
        self, connect: Connect, server: Server, room: str
    ) -> None:
        alice = await connect("alice")
        await alice.join(room)
        await alice.call("leave", {"room": room})
        await alice.say(room, "a member still writes")
        await alice.call("rooms")
        assert alice.log[room] == []
        worker = await connect("alice", namespace="orders")
        queue = await new_queue(worker)
        await worker.call("join", {"queue": queue})
        await order(worker, queue, 1)
        await worker.expect("order:created", queue=queue)
        await worker.call("leave", {"queue": queue})


async def new_queue(client: Client, **policy: Any) -> str:
    queue = fresh("queue")
    await client.call("queue:create", {"queue": queue, **policy})
    return queue


async def order(client: Client, queue: str, item: Any) -> Any:
    return await client.call("order:create", {"queue": queue, "client_id": uuid.uuid4().hex, "item": item})


class TestNamespacesWithTheirOwnHandlers:
    async def test_orders_has_order_list_and_order_create(self, connect: Connect) -> None:
        alice = await connect("alice", namespace="orders")
        queue = await new_queue(alice)
        made = await order(alice, queue, {"pizza": "margherita"})
        (found,) = (await alice.call("order:list", {"queue": queue}))["orders"]
        assert (found["seq"], found["item"], found["state"]) == (
            made["seq"],
            {"pizza": "margherita"},
            "queued",
        )

    async def test_users_has_user_list(self, connect: Connect) -> None:
        alice = await connect("alice", namespace="users")
        (found,) = (await alice.call("user:list", {"query": alice.name}))["users"]
        assert (found["id"], found["name"]) == (alice.id, alice.name)

    async def test_each_knows_its_own_events_alone(self, connect: Connect) -> None:
        for path, event in (("users", "order:list"), ("orders", "user:list"), ("chat", "order:create")):
            client = await connect("alice", namespace=path)
            with pytest.raises(Refused) as refused:
                await client.call(event, {})
            assert refused.value.code == "unknown_event"

    async def test_an_app_brings_its_own(self, connect: Connect) -> None:
        alice = await connect("alice", namespace="tickets")
        ticket = await alice.call("ticket:open", {"desk": "billing", "title": "Paid twice"})
        assert ticket["by"] == alice.name


class TestRoomsBelongToANamespace:
    async def test_room1_in_orders_is_not_room1_in_users_or_in_the_chat(
        self, connect: Connect, server: Server
    ) -> None:
        room = fresh("room1")
        chat, orders, users = [await connect("alice", namespace=path) for path in ("chat", "orders", "users")]
        await chat.call("room:create", {"room": room})
        await orders.call("queue:create", {"queue": room})
        await chat.join(room)
        await orders.call("order:watch", {"queue": room})
        await users.call("join", {"room": room})

        await chat.say(room, "hello")
        await order(orders, room, {"for": "tea"})
        for path in ("chat", "orders", "users"):
            server.django(emit, path, f"emitted in {path}", to=room)
        for client, path in ((chat, "chat"), (orders, "orders"), (users, "users")):
            await client.expect(f"emitted in {path}")
            await client.call("leave", {"queue" if path == "orders" else "room": room})

        assert [event for event in events(chat) if event in about_rooms] == ["message", "emitted in chat"]
        assert [event for event in events(orders) if event in about_rooms] == [
            "order:created",
            "emitted in orders",
        ]
        assert [event for event in events(users) if event in about_rooms] == ["emitted in users"]


about_rooms = {"message", "order:created", *(f"emitted in {path}" for path in ("chat", "orders", "users"))}


class TestMiddlewares:
    @pytest.mark.parametrize("path", ["chat", "orders", "users", "admin", "tickets"])
    async def test_authentication(self, connect: Connect, path: str) -> None:
        stranger = await connect("alice", namespace=path, by=None)
        await stranger.expect_error("unauthenticated")
        assert await stranger.closed() == 4501
        assert events(stranger) == []

    async def test_data_manipulation_before_and_after_an_event(self, connect: Connect) -> None:
        alice = await connect("alice", namespace="stage")
        assert await alice.call("trace", {"trail": ["sent"]}) == [
            "sent",
            "before outer",
            "before inner",
            "here",
            "after inner",
            "after outer",
        ]

    async def test_one_refuses_an_event_and_the_socket_lives(self, connect: Connect) -> None:
        alice = await connect("alice", namespace="stage")
        for where in ("before outer", "after inner"):
            with pytest.raises(Refused, match=where):
                await alice.call("trace", {"refuse": where})
        assert "here" in await alice.call("trace", {})

    async def test_filtered_words_are_masked_before_anything_is_stored(
        self, make_server: Any, server_kind: str
    ) -> None:
        server = make_server(server_kind, env={"FILTERED_WORDS": "darn"}).start()
        alice = await Client.open(server.ws, token=server.person("alice").token)
        room = server.room()
        await alice.join(room)
        await alice.say(room, "Darn, it rains")
        await alice.gets(room, seq=1)
        assert alice.bodies(room) == ["****, it rains"]
        (stored,) = (await alice.call("history", {"room": room}))["messages"]
        assert stored["data"]["body"] == "****, it rains"
        await alice.drop()


class TestAdmin:
    async def test_authorized_users_only(self, connect: Connect) -> None:
        alice = await connect("alice", namespace="admin")
        await alice.expect_error("forbidden")
        assert await alice.closed() == 4503
        assert events(alice) == []

    async def test_deleting_a_user_ends_their_sockets_and_their_account(
        self, connect: Connect, server: Server, room: str
    ) -> None:
        staff = await connect(server.person("sam", staff=True), namespace="admin")
        alice, bob = await connect("alice"), await connect("bob")
        for client in (alice, bob):
            await client.join(room)
        await alice.say(room, "remember me")
        await staff.call("user:delete", {"user": alice.id})
        await alice.expect_error("session_ended")
        assert await alice.closed() == 4509
        async with coming_back(alice, server) as again:
            assert await again.closed() == 4501
        messages = (await bob.call("history", {"room": room}))["messages"]
        names = [each["from"]["name"] for each in messages if each["data"].get("body") == "remember me"]
        assert names == [f"deleted-{alice.id}"]


class TestQueuedMessages:
    async def test_what_was_sent_while_one_was_away_waits_until_it_is_acknowledged(
        self, alice: Client, bob: Client, room: str, server: Server
    ) -> None:
        for client in (alice, bob):
            await client.join(room)
        await bob.drop()
        for number in range(1, 21):
            assert (await alice.say(room, str(number)))["seq"] == number
        for first in (1, 11):  # the second time it has acknowledged ten
            async with coming_back(bob, server) as again:
                answer = await again.join(room)
                assert (answer["cursor"], answer["head"]) == (first - 1, 20)
                await again.gets_upto(room, 20)
                assert again.seqs(room) == list(range(first, 21))
                await again.received(room, 10)
                await again.call("rooms")

    async def test_a_message_survives_the_server(self, make_server: Any, server_kind: str) -> None:
        server = make_server(server_kind).start()
        alice, bob = server.person("alice"), server.person("bob")
        room = server.room(members=[alice, bob])
        client = await Client.open(server.ws, token=alice.token)
        await client.say(room, "hello")
        server.kill()
        await client.drop()
        server.start()
        client = await Client.open(server.ws, token=bob.token)
        await client.join(room)
        await client.gets(room, body="hello")
        await client.drop()


class TestOrderedAndUnorderedQueues:
    async def test_an_ordered_room_comes_in_order_and_is_acknowledged_up_to_an_entry(
        self, alice: Client, bob: Client, server: Server
    ) -> None:
        room = server.room(ordering="ordered")
        for client in (alice, bob):
            await client.join(room)
        sent = [await alice.submit("message", message(room, str(number))) for number in range(100)]
        await asyncio.gather(*sent)
        await bob.gets_upto(room, 100)
        assert bob.seqs(room) == list(range(1, 101))
        assert bob.bodies(room) == [str(number) for number in range(100)]
        await bob.received(room, 60)
        await bob.call("rooms")
        async with coming_back(bob, server) as again:
            await again.join(room)
            await again.gets_upto(room, 100)
            assert again.seqs(room) == list(range(61, 101))

    async def test_an_unordered_room_is_acknowledged_one_by_one(
        self, alice: Client, bob: Client, server: Server
    ) -> None:
        room = server.room(ordering="unordered")
        for client in (alice, bob):
            await client.join(room)
        for number in range(1, 7):
            await alice.say(room, str(number))
        await bob.gets_upto(room, 6)
        await bob.received(room, [2, 3, 6])
        await bob.call("rooms")
        async with coming_back(bob, server) as again:
            await again.join(room, after=6)  # it has shown them all, and not dealt with three
            for seq in (1, 4, 5):
                await again.gets(room, seq=seq)
            await again.call("rooms")
            assert sorted(again.seqs(room)) == [1, 4, 5]

    async def test_an_ordered_queue_gives_out_one_order_at_a_time(self, connect: Connect) -> None:
        alice, bob = [await connect(name, namespace="orders") for name in ("alice", "bob")]
        queue = await new_queue(alice, ordering="ordered")
        for number in (1, 2, 3):
            await order(alice, queue, number)
        for worker in (alice, bob):
            await worker.call("order:work", {"queue": queue, "max_in_flight": 5})
        done = []
        for _ in range(3):
            worker, got = await given(queue, alice, bob)
            counts = (await alice.call("order:list", {"queue": queue}))["counts"]
            assert counts["leased"] == 1
            done.append(got["item"])
            await worker.call("order:done", {key: got[key] for key in ("queue", "seq", "token")})
        assert done == [1, 2, 3]

    async def test_an_unordered_queue_gives_out_as_many_as_workers_take(self, connect: Connect) -> None:
        alice, bob = [await connect(name, namespace="orders") for name in ("alice", "bob")]
        queue = await new_queue(alice, ordering="unordered")
        for number in range(4):
            await order(alice, queue, number)
        for worker in (alice, bob):
            await worker.call("order:work", {"queue": queue, "max_in_flight": 2})
        got = [(await worker.expect("order", queue=queue))["data"] for worker in (alice, alice, bob, bob)]
        assert sorted(each["item"] for each in got) == [0, 1, 2, 3]
        assert len({each["token"] for each in got}) == 4


async def given(queue: str, *workers: Client) -> tuple[Client, dict[str, Any]]:
    """The next order, and whichever of them has got it."""
    waiting = {asyncio.ensure_future(each.expect("order", queue=queue)): each for each in workers}
    (first,), others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in others:
        each.cancel()
    return waiting[first], first.result()["data"]


class TestAnEventBasedMessagingServer:
    async def test_people_programs_and_the_rest_of_the_site_talk_through_it(
        self, connect: Connect, server: Server
    ) -> None:
        """A cook works off orders, a guest watches, a view and a command emit, the chat keeps word."""
        guest = await connect("guest", namespace="orders", by="cookie")  # in a browser
        cook = await connect("cook", namespace="orders")  # a program
        queue = await new_queue(guest)
        await guest.call("order:watch", {"queue": queue})
        await cook.call("order:work", {"queue": queue})
        await order(guest, queue, {"pizza": "margherita"})
        got = (await cook.expect("order"))["data"]
        await guest.expect("order:leased", seq=got["seq"])
        about = {key: got[key] for key in ("queue", "seq", "token")}
        assert await cook.call("order:done", {**about, "result": "hot"}) == {"duplicate": False}
        await guest.expect("order:done", seq=got["seq"])

        room = server.room("kitchen", [guest.person, cook.person])
        talk = await connect(cook)
        await talk.say(room, "Your pizza is ready.")
        server.django(emit, "/orders", "bell", {"table": 7}, to=f"user:{guest.id}")
        assert (await guest.expect("bell"))["data"] == {"table": 7}
        assert "bell" not in events(cook)
        table = await connect(guest)
        await table.join(room, after=0)
        await table.gets(room, body="Your pizza is ready.")
