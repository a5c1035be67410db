"""The API of sockets and namespaces, over a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.db import transaction

from chat.delivery import door
from chat.delivery.entries import Draft
from chat.emit import emit
from tests.conftest import Connect
from tests.stage.calls import namespace, socket
from tests.support import Client, Refused, Server
from tests.support.server import fresh

pytestmark = pytest.mark.each_server

Actors = Callable[..., Awaitable[list[Client]]]


@pytest.fixture
def server(server_kind: str, extended: Callable[[str], Server]) -> Server:
    return extended(server_kind)


@pytest.fixture
def room() -> str:
    """A plain room of this test's own."""
    return fresh("room")


@pytest.fixture
def actors(connect: Connect) -> Actors:
    async def enter(*names: str) -> list[Client]:
        return [await connect(name, namespace="stage") for name in names]

    return enter


async def join(room: str, *clients: Client) -> None:
    for client in clients:
        await client.call("join", {"room": room})


async def received(client: Client, event: str) -> list[Any]:
    """The data of all such events so far: what was sent to the client before this call has come
    once it is answered."""
    await client.call("direct")
    return [packet["data"] for packet in client.packets if packet.get("event") == event]


async def received_by(event: str, *clients: Client) -> list[list[Any]]:
    return [await received(client, event) for client in clients]


def sid(client: Client) -> str:
    return str(client.hello["sid"])


class TestEmitting:
    async def test_to_everyone(self, actors: Actors) -> None:
        alice, bob = await actors("alice", "bob")
        word = fresh("word")
        await namespace(alice).emit("bell", word)
        assert await received_by("bell", alice, bob) == [[word], [word]]

    async def test_a_broadcast_reaches_all_but_the_sender(self, actors: Actors) -> None:
        alice, bob, charlie = await actors("alice", "bob", "charlie")
        await socket(alice).broadcast.emit("bell", 1)
        assert await received_by("bell", alice, bob, charlie) == [[], [1], [1]]

    async def test_to_its_own_client_alone(self, actors: Actors) -> None:
        alice, bob = await actors("alice", "bob")
        await socket(alice).emit("bell", 1)
        assert await received_by("bell", alice, bob) == [[1], []]

    async def test_sockets_of_several_rooms_are_reached_once(self, actors: Actors, room: str) -> None:
        alice, bob, charlie = await actors("alice", "bob", "charlie")
        other = fresh("other")
        await join(room, alice, bob)
        await join(other, bob)
        await namespace(alice).to(room, other).emit("bell", 1)
        await namespace(alice).to([room, other]).emit("bell", 2)
        await namespace(alice).to(room).to(other).to(sid(bob)).emit("bell", 3)
        assert await received_by("bell", alice, bob, charlie) == [[1, 2, 3], [1, 2, 3], []]

    async def test_except_leaves_out_whoever_is_in_one_of_its_rooms(self, actors: Actors, room: str) -> None:
        alice, bob, charlie = await actors("alice", "bob", "charlie")
        other, third = fresh("other"), fresh("third")
        await join(room, alice, bob, charlie)
        await join(other, bob)
        await join(third, charlie)
        await namespace(alice).to(room).except_(other).emit("bell", 1)
        await namespace(alice).to(room, other).except_([other, third]).emit("bell", 2)
        await namespace(alice).except_(other).except_(third, sid(alice)).to(room).emit("bell", 3)
        assert await received_by("bell", alice, bob, charlie) == [[1, 2], [], [1]]

    async def test_to_a_room_from_a_socket_leaves_out_that_socket(self, actors: Actors, room: str) -> None:
        alice, bob, charlie = await actors("alice", "bob", "charlie")
        await join(room, alice, bob)
        await socket(alice).to(room).emit("bell", 1)
        await socket(charlie).broadcast.to(room).except_(sid(bob)).emit("bell", 2)
        assert await received_by("bell", alice, bob, charlie) == [[2], [1], []]

    async def test_to_an_empty_list_is_to_nobody(self, actors: Actors) -> None:
        alice, bob = await actors("alice", "bob")
        await namespace(alice).to([]).emit("bell", 1)
        await socket(alice).to([]).emit("bell", 1)
        assert await received_by("bell", alice, bob) == [[], []]

    async def test_a_room_that_nobody_is_in_reaches_nobody(self, actors: Actors, room: str) -> None:
        (alice,) = await actors("alice")
        await namespace(alice).to(room).emit("bell", 1)
        assert await received(alice, "bell") == []

    async def test_what_was_emitted_first_comes_first(self, actors: Actors, room: str) -> None:
        alice, bob = await actors("alice", "bob")
        await join(room, bob)
        for number in range(50):
            where = [namespace(alice).to(room), socket(alice).to(sid(bob)), socket(alice).broadcast][
                number % 3
            ]
            await where.emit("bell", number)
        assert await received(bob, "bell") == list(range(50))

    async def test_volatile_reaches_who_can_take_it_and_is_dropped_for_who_cannot(
        self, actors: Actors, connect: Connect, room: str
    ) -> None:
        alice, charlie = await actors("alice", "charlie")
        bob = await connect("bob", namespace="stage", kernel_buffer=64 * 1024)
        await join(room, bob, charlie)
        await namespace(alice).volatile.to(room).emit("bell", 1)
        await bob.expect("bell", data=1)
        bob.connection.transport.pause_reading()
        await alice.call("clog", {"sid": sid(bob)})
        await namespace(alice).to(room).volatile.emit("bell", 2)
        await namespace(alice).to(room).emit("bell", 3)
        bob.connection.transport.resume_reading()
        await bob.expect("bell", data=3)
        assert await received_by("bell", bob, charlie) == [[1, 3], [1, 2, 3]]

    async def test_a_volatile_event_to_the_own_client(self, actors: Actors) -> None:
        alice, bob = await actors("alice", "bob")
        await socket(alice).volatile.emit("bell", 1)
        assert await received_by("bell", alice, bob) == [[1], []]


class TestOwnRooms:
    async def test_a_person_is_reached_on_every_device(self, actors: Actors, connect: Connect) -> None:
        alice, bob = await actors("alice", "bob")
        phone = await connect(alice, namespace="stage")
        await namespace(bob).to(f"user:{alice.id}").emit("bell", 1)
        await socket(phone).to(f"user:{alice.id}").emit("bell", 2)
        assert await received_by("bell", alice, phone, bob) == [[1, 2], [1], []]

    async def test_a_socket_is_reached_by_its_id(self, actors: Actors, connect: Connect) -> None:
        alice, bob = await actors("alice", "bob")
        phone = await connect(alice, namespace="stage")
        await namespace(bob).to(sid(phone)).emit("bell", 1)
        assert await received_by("bell", alice, phone, bob) == [[], [1], []]

    async def test_no_client_can_join_them(self, actors: Actors) -> None:
        alice, bob = await actors("alice", "bob")
        for own in (f"user:{alice.id}", sid(alice)):
            with pytest.raises(Refused) as refused:
                await bob.call("join", {"room": own})
            assert (refused.value.code, refused.value.error["field"]) == ("bad_data", "room")

    async def test_no_id_is_a_name_of_a_room(self, connect: Connect) -> None:
        ids = {sid(await connect("alice", namespace="stage")) for _ in range(20)}
        assert len(ids) == 20
        assert all(id[0] == "S" and len(id) == 17 for id in ids)  # a room's name has no capitals


class TestRooms:
    async def test_the_server_joins_and_leaves_for_a_socket(self, actors: Actors) -> None:
        alice, bob = await actors("alice", "bob")
        rooms = {fresh("room"), "Any name: the server's own"}
        await socket(alice).join(*rooms)
        assert set(await socket(alice).rooms) == rooms
        await namespace(bob).to("Any name: the server's own").emit("bell", 1)
        await socket(alice).leave("Any name: the server's own", "not joined")
        await namespace(bob).to("Any name: the server's own").emit("bell", 2)
        assert await received(alice, "bell") == [1]
        assert len(await socket(alice).rooms) == 1

    async def test_a_client_joins_and_leaves_by_itself(self, actors: Actors, room: str) -> None:
        alice, bob = await actors("alice", "bob")
        assert await alice.call("join", {"room": room}) == {"room": room}
        assert await alice.call("join", {"room": room}) == {"room": room}
        assert await socket(alice).rooms == [room]
        assert await alice.call("leave", {"room": room}) == {"room": room}
        await namespace(bob).to(room).emit("bell", 1)
        assert await received(alice, "bell") == []
        with pytest.raises(Refused) as refused:
            await alice.call("leave", {"room": room})
        assert refused.value.code == "not_found"

    async def test_a_socket_joins_at_most_a_thousand(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        joined = [await alice.submit("join", {"room": f"room-{number}"}) for number in range(1000)]
        await asyncio.gather(*joined)
        with pytest.raises(Refused) as refused:
            await alice.call("join", {"room": "one-more"})
        assert (refused.value.code, refused.value.temporary) == ("rate_limited", True)
        await alice.call("join", {"room": "room-7"})  # where it is already
        await alice.call("leave", {"room": "room-7"})
        await alice.call("join", {"room": "one-more"})
        assert len(await socket(alice).rooms) == 1000

    async def test_rooms_vanish_with_their_sockets(self, actors: Actors, room: str) -> None:
        alice, bob = await actors("alice", "bob")
        rooms = [room, fresh("other")]
        for each in rooms:
            await join(each, bob)
        await socket(bob).join(fresh("third"))
        before = await alice.call("kept", {"rooms": [*rooms, sid(bob), f"user:{bob.id}"]})
        assert before["rooms"] == sorted([*rooms, f"user:{bob.id}"])
        await bob.close()
        await gone(alice, sid(bob))
        after = await alice.call("kept", {"rooms": [*rooms, sid(bob), f"user:{bob.id}"]})
        assert after == {"rooms": [], "joined": before["joined"] - 1}

    async def test_a_room_of_that_name_elsewhere_is_another(self, connect: Connect) -> None:
        stage = await connect("alice", namespace="stage")
        tickets = await connect("bob", namespace="tickets")
        await stage.call("join", {"room": "room1"})
        await tickets.call("join", {"room": "room1"})
        await namespace(stage).to("room1").emit("bell", 1)
        await tickets.call("ticket:open", {"desk": "room1", "title": "Where am I?"})
        assert await received(stage, "ticket:opened") == []
        assert await received(stage, "bell") == [1]
        await tickets.call("ticket:open", {"desk": "room2", "title": "Still nothing?"})
        assert "bell" not in [packet.get("event") for packet in tickets.packets]

    async def test_a_socket_of_another_namespace_is_not_reached_by_its_id(self, connect: Connect) -> None:
        stage = await connect("alice", namespace="stage")
        tickets = await connect("alice", namespace="tickets")
        await namespace(stage).to(sid(tickets), f"user:{tickets.id}").emit("bell", 1)
        await tickets.call("join", {"room": "any"})
        assert "bell" not in [packet.get("event") for packet in tickets.packets]


async def gone(client: Client, left: str) -> None:
    """Until the server has noticed; `disconnect` was called then."""
    async with asyncio.timeout(10):
        while left not in await client.call("left"):
            pass


class TestAcks:
    async def test_one_socket_answers(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        asked = asyncio.ensure_future(asking(socket(alice).emit("ready?", {"for": "tea"}, ack=True)))
        question = await alice.expect("ready?")
        await alice.ack(question["id"], {"yes": True})
        assert question["data"] == {"for": "tea"}
        assert await asked == {"yes": True}

    async def test_one_that_does_not_answer_is_given_up(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        with pytest.raises(Refused) as refused:
            await socket(alice).emit("ready?", ack=True, timeout=0.05)
        assert refused.value.code == "internal"  # the handler's TimeoutError
        await alice.ack((await alice.expect("ready?"))["id"], "too late")
        assert await alice.call("direct") == "past the middleware"

    async def test_answers_are_collected_by_socket(self, actors: Actors, room: str) -> None:
        alice, bob, charlie, dora = await actors("alice", "bob", "charlie", "dora")
        await join(room, bob, charlie, dora)
        asked = asyncio.ensure_future(
            asking(namespace(alice).to(room).emit("ready?", {"for": "tea"}, ack=True, timeout=1.0))
        )
        for client, answer in ((bob, "yes"), (charlie, {"no": "thanks"})):
            await client.ack((await client.expect("ready?"))["id"], answer)
        await dora.expect("ready?")  # and says nothing
        expected = {sid(bob): "yes", sid(charlie): {"no": "thanks"}}
        assert await asked == {"answers": expected, "missing": [sid(dora)]}
        assert await received(alice, "ready?") == []

    async def test_a_socket_that_leaves_meanwhile_is_missing_and_not_waited_for(
        self, actors: Actors, room: str
    ) -> None:
        alice, bob, charlie = await actors("alice", "bob", "charlie")
        await join(room, bob, charlie)
        asked = asyncio.ensure_future(
            asking(namespace(alice).to(room).emit("ready?", ack=True, timeout=600.0))
        )
        await bob.ack((await bob.expect("ready?"))["id"], "yes")
        await charlie.expect("ready?")
        await charlie.drop()
        assert await asked == {"answers": {sid(bob): "yes"}, "missing": [sid(charlie)]}

    async def test_everyone_is_asked(self, actors: Actors) -> None:
        alice, bob = await actors("alice", "bob")
        asked = asyncio.ensure_future(asking(namespace(alice).emit("ready?", ack=True, timeout=1.0)))
        await bob.ack((await bob.expect("ready?"))["id"], "yes")
        assert (await asked)["answers"] == {sid(bob): "yes"}
        assert sid(alice) in (await namespace(alice).emit("sure?", ack=True, timeout=0.1))["missing"]

    async def test_nobody_is_asked_where_nobody_is(self, actors: Actors, room: str) -> None:
        (alice,) = await actors("alice")
        answers = await namespace(alice).to(room).emit("ready?", ack=True)
        assert answers == {"answers": {}, "missing": []}


async def asking(calls: Any) -> Any:
    return await calls


class TestLookingAfterSockets:
    async def test_fetch_sockets_tells_who_is_there(self, actors: Actors, room: str, server: Server) -> None:
        alice, bob = await actors("alice", "bob")
        await join(room, bob)
        (found,) = await namespace(alice).to(room).fetch_sockets()
        assert found == {
            "id": sid(bob),
            "user": {"id": bob.id, "name": bob.name, "staff": False},
            "rooms": [room],
            "namespace": "stage",
            "process": found["process"],
            "connected_at": found["connected_at"],
        }
        assert {each["id"] for each in await namespace(alice).fetch_sockets()} >= {sid(alice), sid(bob)}
        assert await namespace(alice).fetch_sockets(room) == [found]
        assert await namespace(alice).to(room).except_(sid(bob)).fetch_sockets() == []

    async def test_sockets_are_moved(self, actors: Actors, room: str) -> None:
        alice, bob, charlie = await actors("alice", "bob", "charlie")
        await join(room, bob, charlie)
        other = fresh("other")
        await namespace(alice).to(room).except_(sid(charlie)).sockets_join(other, "Third")
        assert set(await socket(bob).rooms) == {room, other, "Third"}
        assert await socket(charlie).rooms == [room]
        await namespace(alice).to(other).sockets_leave(room, ["Third"])
        assert await socket(bob).rooms == [other]
        await namespace(alice).everyone.sockets_join("News")
        assert set(await socket(alice).rooms) == {"News"}
        assert set(await socket(bob).rooms) == {other, "News"}

    async def test_sockets_are_disconnected_with_a_reason_and_a_code(self, actors: Actors, room: str) -> None:
        alice, bob, charlie = await actors("alice", "bob", "charlie")
        await join(room, bob)
        await namespace(alice).to(room).disconnect_sockets()
        assert (await bob.expect_error())["code"] == "kicked"
        assert await bob.closed() == 4503
        await namespace(alice).to(f"user:{charlie.id}").disconnect_sockets(4001)
        assert await charlie.closed() == 4001
        assert await alice.call("direct") == "past the middleware"

    async def test_local_ones_alone(self, actors: Actors, room: str) -> None:
        alice, bob = await actors("alice", "bob")
        await join(room, bob)
        await namespace(alice).local.to(room).sockets_join("Third")
        assert set(await socket(bob).rooms) == {room, "Third"}
        assert [each["id"] for each in await namespace(alice).local.to(room).fetch_sockets()] == [sid(bob)]
        await namespace(alice).to(room).local.disconnect_sockets()
        assert await bob.closed() == 4503


class TestFromAnywhereInDjango:
    async def test_from_asynchronous_code_of_the_server(self, actors: Actors, room: str) -> None:
        (alice,) = await actors("alice")
        await join(room, alice)
        await alice.call("anywhere", {"to": room})
        assert (await alice.expect("from anywhere"))["data"] == 1
        assert (await alice.expect("from anywhere"))["data"] == 2

    async def test_inside_a_transaction_it_goes_with_the_commit(self, actors: Actors, room: str) -> None:
        (alice,) = await actors("alice")
        await join(room, alice)
        await alice.call("transaction", {"to": room, "commit": True})
        await alice.expect("after it")
        assert events(alice) == ["connect", "during it", "in it", "after it"]

    async def test_and_with_a_rollback_not_at_all(self, actors: Actors, room: str) -> None:
        (alice,) = await actors("alice")
        await join(room, alice)
        await alice.call("transaction", {"to": room, "commit": False})
        await alice.expect("after it")
        assert events(alice) == ["connect", "during it", "after it"]

    async def test_from_another_process(self, actors: Actors, room: str, server: Server) -> None:
        alice, bob = await actors("alice", "bob")
        await join(room, alice, bob)
        server.django(emit, "/stage", "bell", {"rings": 2}, to=[room, sid(alice)], except_=f"user:{bob.id}")
        assert (await alice.expect("bell"))["data"] == {"rings": 2}
        server.django(emit, "stage", "bell", 2, to=f"user:{bob.id}")
        await bob.expect("bell")
        assert await received_by("bell", alice, bob) == [[{"rings": 2}], [2]]

    async def test_from_another_process_it_goes_with_the_commit_too(
        self, actors: Actors, room: str, server: Server
    ) -> None:
        (alice,) = await actors("alice")
        await join(room, alice)
        for commit in (False, True):
            server.django(in_transaction, room, commit)
        await alice.expect("bell")
        assert await received(alice, "bell") == [True]


def in_transaction(room: str, commit: bool) -> None:
    with transaction.atomic():
        emit("/stage", "bell", commit, to=room)
        transaction.set_rollback(not commit)


def events(client: Client) -> list[str]:
    return [packet["event"] for packet in client.packets if "event" in packet]


class TestWritingInALog:
    """What must arrive is written, not emitted."""

    async def test_a_handler_writes_in_the_name_of_its_person(self, connect: Connect, server: Server) -> None:
        alice, bob = await connect("alice", namespace="stage"), await connect("bob")
        log = server.room(members=[alice.person, bob.person])
        said = {"room": log, "client_id": "c1", "body": "Ticket closed."}
        first = await alice.call("say", said)
        assert await alice.call("say", said) == {**first, "duplicate": True}
        await bob.join(log)
        await bob.gets_upto(log, 1)
        assert bob.bodies(log) == ["Ticket closed."]
        assert bob.log[log][0]["from"]["id"] == alice.id

    async def test_who_is_no_member_is_refused(self, connect: Connect, server: Server) -> None:
        alice, bob = await connect("alice", namespace="stage"), await connect("bob")
        log = server.room(members=[bob.person])
        with pytest.raises(Refused) as refused:
            await alice.call("say", {"room": log, "client_id": "c1", "body": "Let me in."})
        assert refused.value.code == "forbidden"

    async def test_elsewhere_in_django_it_is_part_of_the_transaction(
        self, connect: Connect, server: Server
    ) -> None:
        bob = await connect("bob")
        log = server.room(members=[bob.person])
        await bob.join(log)
        for commit in (False, True):
            server.django(write_in_transaction, log, bob.id, commit)
        await bob.gets(log, seq=1)
        assert bob.bodies(log) == ["True"]


def write_in_transaction(room: str, person: int, commit: bool) -> None:
    with transaction.atomic():
        door.write(Draft("chat", room, person, f"ticket-{commit}", "message", body=str(commit)))
        transaction.set_rollback(not commit)


class TestTheDoor:
    @pytest.mark.parametrize(
        ("name", "code", "close"),
        [
            ("muddy", "forbidden", 4503),
            ("forged", "unauthenticated", 4501),
            ("hasty", "rate_limited", 4004),
            ("early", "unavailable", 4001),
            ("unlucky", "internal", 4001),
        ],
    )
    async def test_a_refused_connect_is_told_why_and_closed_with_a_code(
        self, actors: Actors, name: str, code: str, close: int
    ) -> None:
        (refused,) = await actors(name)
        error = await refused.expect_error(code)
        assert await refused.closed() == close
        assert events(refused) == []
        assert "secret" not in str(error)

    async def test_who_is_refused_is_reached_by_nothing_and_leaves_nothing(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        (muddy,) = await actors("muddy")
        await muddy.closed()
        assert await namespace(alice).to(f"user:{muddy.person.id}").fetch_sockets() == []
        assert muddy.person.id not in [each["user"]["id"] for each in await namespace(alice).fetch_sockets()]

    async def test_connect_may_still_refuse_after_the_first_packet(self, actors: Actors) -> None:
        alice, regretted = await actors("alice", "regretted")
        assert (await regretted.expect_error("forbidden"))["message"] == "on second thoughts, no"
        assert await regretted.closed() == 4503
        assert events(regretted) == ["connect"]
        await gone(alice, sid(regretted))

    async def test_a_disconnect_that_raises_harms_nobody(self, actors: Actors, server: Server) -> None:
        alice, clumsy = await actors("alice", "clumsy")
        await clumsy.close()
        await gone(alice, sid(clumsy))
        assert "after a socket of /stage was gone" in server.log(1000)


class TestStrangers:
    """Where `authenticated` isn't listed."""

    async def test_they_come_in_and_are_reached_as_all_others(
        self, connect: Connect, server: Server, room: str
    ) -> None:
        errors = server.log(100_000).count("Traceback")
        stranger = await connect("nobody", namespace="lobby", by=None)
        alice = await connect("alice", namespace="lobby")
        assert stranger.hello["user"] is None
        await join(room, stranger, alice)
        server.django(emit, "/lobby", "bell", 1, to=room)
        server.django(emit, "/lobby", "bell", 2, to=sid(stranger))
        await stranger.expect("bell", data=2)
        assert await stranger.call("who") == [None]
        assert [each["id"] for each in await alice.call("who")] == [alice.id]
        await stranger.close()
        server.django(emit, "/lobby", "bell", 3)
        await alice.expect("bell", data=3)
        assert server.log(100_000).count("Traceback") == errors

    async def test_a_foreign_page_still_does_not_speak_for_a_person(self, connect: Connect) -> None:
        page = await connect("alice", namespace="lobby", by="cookie", origin="https://evil.example.com")
        await page.expect_error("forbidden")
        assert await page.closed() == 4503


class TestMiddleware:
    async def test_they_run_in_the_order_in_which_they_are_listed(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        trail = await alice.call("trace", {"trail": ["client"]})
        assert trail == ["client", "before outer", "before inner", "here", "after inner", "after outer"]

    @pytest.mark.parametrize(
        ("where", "code"),
        [
            ("before outer", "forbidden"),
            ("before inner", "forbidden"),
            ("here", "not_found"),
            ("after inner", "conflict"),
            ("after outer", "conflict"),
        ],
    )
    async def test_each_may_refuse_before_and_after(self, actors: Actors, where: str, code: str) -> None:
        (alice,) = await actors("alice")
        with pytest.raises(Refused) as refused:
            await alice.call("trace", {"refuse": where})
        assert (refused.value.code, refused.value.message) == (code, where)
        assert "here" in await alice.call("trace", {})

    async def test_a_refusal_without_an_id_comes_as_a_packet(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        await alice.emit("trace", {"refuse": "after outer"})
        error = await alice.expect_error("conflict")
        assert error["event"] == "trace"

    async def test_on_any_sees_every_event_that_has_passed_them(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        with pytest.raises(Refused):
            await alice.call("trace", {"refuse": "before inner"})  # has not
        await alice.call("direct")  # goes past
        with pytest.raises(Refused) as refused:
            await alice.call("no such event", [1])
        assert refused.value.code == "unknown_event"
        await alice.call("trace", {"trail": []})
        assert await alice.call("seen") == [
            ["no such event", [1]],
            ["trace", {"trail": ["before outer", "before inner"]}],
            ["seen", None],
        ]

    async def test_on_any_may_refuse(self, actors: Actors) -> None:
        (alice,) = await actors("alice")
        with pytest.raises(Refused, match="as you wish"):
            await alice.call("left", "refuse me")


class TestWhatGoesWrong:
    async def test_a_handler_that_raises_leaves_the_socket_alive(
        self, actors: Actors, server: Server
    ) -> None:
        (alice,) = await actors("alice")
        with pytest.raises(Refused) as refused:
            await alice.call("crash")
        assert refused.value.code == "internal"
        assert "secret" not in str(refused.value)
        assert refused.value.error["reference"] in server.log(1000)
        assert await alice.call("left") is not None

    async def test_an_event_or_an_answer_larger_than_a_frame_is_an_error_of_the_handlers(
        self, actors: Actors, server: Server
    ) -> None:
        alice, bob = await actors("alice", "bob")
        for event in ("large answer", "large emit"):
            await alice.call(event, {"size": 250_000})
            with pytest.raises(Refused) as refused:
                await alice.call(event, {"size": 262_144})
            assert refused.value.code == "internal"
            assert "a packet is at most 262144 bytes" in server.log(1000)
        assert [len(data) for data in await received(bob, "large")] == [250_000]
