"""What the staff's console lives on: figures as they change, who is behind, what died, who did what.

Alice is one of the staff, Bob a member, Charlie an outsider.
"""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from chat.errors import Close
from chat.models import DeadLetter, Membership, Room
from tests.conftest import Connect
from tests.support import Client, Server

from .conftest import OpenAt, Pair
from .queues import given, hand, make_queue
from .saying import message
from .test_admin_lists import pages


@pytest.fixture
async def alice(server: Server, connect: Connect) -> Client:
    return await connect(server.person("alice", staff=True), namespace="admin")


@pytest.fixture
def room(server: Server, bob: Client) -> str:
    return server.room("room", [server.person("owner"), bob.person])


async def figures(client: Client, wanted: Any) -> dict[str, Any]:
    """The next `metrics` that are as wanted."""
    packet = await client._take(lambda p: p.get("event") == "metrics" and wanted(p["data"]))
    data: dict[str, Any] = packet["data"]
    return data


# Figures


async def test_who_watches_is_told_what_was_stored_delivered_and_acknowledged(
    alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    await alice.call("metrics:watch")
    await figures(alice, lambda _: True)
    seq = (await bob.say(room, "hello"))["seq"]
    await bob.gets(room, seq=seq)
    told = await figures(alice, lambda data: data["delivered"])
    assert told["stored"] > 0 and told["processes"] == told["of"] == 1
    assert 0 < told["push"]["p50"] <= told["push"]["p99"]
    assert told["sockets"]["chat"] >= 1 and told["sockets"]["admin"] >= 1
    behind = await figures(alice, lambda data: any(place["room"] == room for place in data["slowest"]))
    place = next(each for each in behind["slowest"] if each["room"] == room)
    assert (place["user"], place["lag"]) == ({"id": bob.id, "name": bob.name}, 1)
    assert behind["lag"] >= 1
    await bob.emit("received", {room: seq})
    timed = await figures(alice, lambda data: data["ack"])
    assert timed["ack"]["p99"] >= timed["ack"]["p50"] > 0
    await figures(alice, lambda data: all(each["room"] != room for each in data["slowest"]))


async def test_who_stops_watching_is_told_no_more(alice: Client, connect: Connect) -> None:
    await alice.call("metrics:watch")
    await figures(alice, lambda _: True)
    await alice.call("metrics:unwatch")
    before = [packet for packet in alice.packets if packet.get("event") == "metrics"]
    other = await connect(alice, namespace="admin")
    await other.call("metrics:watch")
    await figures(other, lambda _: True)
    assert [packet for packet in alice.packets if packet.get("event") == "metrics"] == before


async def test_figures_are_of_all_processes_with_redis_and_say_so_without(
    pair: Pair, open_at: OpenAt
) -> None:
    alice = await open_at(0, pair[0].person("alice", staff=True), "admin")
    bob = await open_at(1, "bob")
    room = pair[1].room("room", [bob.person])
    await bob.join(room)
    await alice.call("metrics:watch")
    told = await figures(alice, lambda _: True)
    assert told["of"] == 2
    if told["processes"] == 1:
        assert "chat" not in told["sockets"]
        return
    assert told["sockets"]["chat"] == 1
    await bob.say(room, "hello")
    told = await figures(alice, lambda data: data["delivered"])
    assert told["stored"] > 0 and told["push"]


# Lag


async def test_rooms_are_listed_by_how_far_their_slowest_member_is_behind(
    alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    for number in range(3):
        seq = (await bob.say(room, str(number)))["seq"]
    listed = (await alice.call("lag", {"limit": 100}))["rooms"]
    mine = next(each for each in listed if each["room"] == room)
    assert (mine["head"], mine["lag"], mine["slowest"]["online"]) == (seq, 3, False)
    assert [each["lag"] for each in listed] == sorted((each["lag"] for each in listed), reverse=True)


async def test_the_members_of_a_room_are_listed_those_furthest_behind_first(
    server: Server, connect: Connect, alice: Client, bob: Client, room: str
) -> None:
    watcher = await connect(alice, namespace="users")
    charlie = await connect("charlie")
    await watcher.expect("user:connected", user={"id": charlie.id, "name": charlie.name})
    for number in range(3):
        seq = (await bob.say(room, str(number)))["seq"]
    server.django(has_received, room, bob.id, seq - 1)
    server.django(makes_a_member, room, charlie.id, seq - 2)
    found = await alice.call("lag", {"room": room})
    assert (found["room"], found["head"], found["more"]) == (room, seq, False)
    assert [each["lag"] for each in found["members"]] == [3, 2, 1]
    assert found["members"][1]["user"] == {"id": charlie.id, "name": charlie.name, "online": True}
    assert (await alice.call("lag", {"room": room, "limit": 1}))["more"]
    assert (await alice.refusal("lag", {"room": "absent"}))["code"] == "not_found"


async def test_what_was_acknowledged_out_of_order_is_no_lag(
    server: Server, alice: Client, bob: Client
) -> None:
    room = server.room("unordered", [bob.person], ordering="unordered")
    for number in range(5):
        await bob.say(room, str(number))
    server.django(has_received, room, bob.id, 1, acked="3-4")
    [member] = (await alice.call("lag", {"room": room}))["members"]
    assert (member["received"], member["lag"]) == (1, 2)


def has_received(slug: str, user: int, seq: int, acked: str = "") -> None:
    Membership.objects.filter(room__slug=slug, user=user).update(received=seq, acked=acked)


def makes_a_member(slug: str, user: int, received: int) -> None:
    Membership.objects.create(room=Room.objects.get(slug=slug), user_id=user, received=received)


async def test_sockets_are_listed_with_what_they_have_not_acknowledged(
    alice: Client, bob: Client, room: str
) -> None:
    await bob.join(room)
    seq = (await bob.say(room, "hello"))["seq"]
    await bob.gets(room, seq=seq)
    listed = {each["sid"]: each for each in await pages(alice, "sockets:list", "sockets")}
    assert listed[bob.hello["sid"]]["lag"] == {room: 1}
    assert listed[alice.hello["sid"]]["lag"] == {}


# Dead letters


async def test_a_dead_order_is_listed_revived_and_worked_on_again(
    server: Server, connect: Connect, alice: Client
) -> None:
    worker = await connect("bob", namespace="orders")
    queue = make_queue(server, worker.person, max_attempts=1)
    seq = await die(worker, queue)
    [letter] = (await alice.call("deadletter:list", {"place": f"orders/{queue}"}))["dead_letters"]
    assert (letter["room"], letter["namespace"], letter["kind"]) == (queue, "orders", "queue")
    assert (letter["first"], letter["item"], letter["why"], letter["user"]) == (seq, "soup", "burnt", None)
    answer = await alice.call("deadletter:revive", {"letter": letter["id"]})
    assert answer["order"]["state"] == "queued"
    assert (await given(worker, queue=queue, seq=seq))["attempts"] == 1
    assert (await alice.refusal("deadletter:revive", {"letter": letter["id"]}))["code"] == "not_found"


async def test_a_dead_order_is_buried_and_is_listed_no_more(
    server: Server, connect: Connect, alice: Client
) -> None:
    worker = await connect("bob", namespace="orders")
    queue = make_queue(server, worker.person, max_attempts=1)
    await die(worker, queue)
    [letter] = (await alice.call("deadletter:list", {"place": queue}))["dead_letters"]
    answer = await alice.call("deadletter:bury", {"letter": letter["id"]})
    assert answer["order"]["state"] == "buried"
    assert (await alice.call("deadletter:list", {"place": queue}))["dead_letters"] == []


async def die(worker: Client, queue: str) -> int:
    """An order whose only attempt comes to nothing; the worker takes the next one."""
    order = await hand(worker, worker, queue, "soup")
    about = {"queue": queue, "seq": order["seq"], "token": order["token"]}
    await worker.call("order:fail", {**about, "reason": "burnt"})
    return int(order["seq"])


async def test_what_a_member_never_got_can_be_buried_and_not_revived(
    server: Server, alice: Client, bob: Client, room: str
) -> None:
    def kill(seq: int) -> None:
        place = Room.objects.get(slug=room)
        DeadLetter.objects.create(room=place, user_id=bob.id, first=seq, last=seq, reason="max_deliver")

    server.django(kill, 1)
    server.django(kill, 2)
    page = await alice.call("deadletter:list", {"place": room, "limit": 1})
    assert page["more"] and page["dead_letters"][0]["first"] == 2
    [letter] = (await alice.call("deadletter:list", {"place": room, "before": page["next"]}))["dead_letters"]
    assert (letter["first"], letter["user"]) == (1, bob.name)
    assert (await alice.refusal("deadletter:revive", {"letter": letter["id"]}))["code"] == "conflict"
    await alice.call("deadletter:bury", {"letter": letter["id"]})
    left = (await alice.call("deadletter:list", {"place": room}))["dead_letters"]
    assert [each["first"] for each in left] == [2]
    assert (await alice.refusal("deadletter:bury", {"letter": letter["id"]}))["code"] == "not_found"


# Who did what


async def test_the_audit_trail_is_read_page_by_page(alice: Client, bob: Client, room: str) -> None:
    reason = secrets.token_hex(4)
    await alice.call("user:mute", {"user": bob.id, "room": room, "reason": reason})
    await alice.call("user:ban", {"user": bob.id, "room": room, "reason": reason})
    page = await alice.call("audit:list", {"limit": 1})
    [act] = page["acts"]
    assert act["by"] == {"id": alice.id, "name": alice.name}
    assert (act["kind"], act["about"]) == ("user", bob.name)
    assert act["text"].startswith("a user was banned") and reason in act["text"]
    assert page["more"]
    [earlier] = (await alice.call("audit:list", {"limit": 1, "before": page["next"]}))["acts"]
    assert earlier["text"].startswith("a user was muted")


async def test_nobody_but_the_staff_is_told_any_of_it(connect: Connect, bob: Client) -> None:
    spy = await connect(bob, namespace="users")
    for event in ("metrics:watch", "lag", "deadletter:list", "audit:list"):
        assert (await spy.refusal(event, {}))["code"] == "unknown_event"
    for name in ("metrics:watch", "log:watch"):
        assert (await spy.refusal("join", {"room": name}))["code"] == "bad_data"


# Reports, sessions and rules


async def test_the_staff_see_reports_of_all_rooms_and_are_told_of_new_ones(
    connect: Connect, alice: Client, bob: Client, room: str
) -> None:
    charlie = await connect("charlie")
    seq = (await bob.say(room, "rubbish"))["seq"]
    await alice.call("join", {"room": "reports"})
    number = (await charlie.call("report", {"room": room, "seq": seq, "reason": "rude"}))["report"]
    told = (await alice.expect("report", id=number))["data"]
    assert (told["room"], told["seq"], told["message"]["body"]) == (room, seq, "rubbish")
    assert told in (await alice.call("report:list", {"state": "unsettled"}))["reports"]
    assert (await alice.call("report:claim", {"report": number}))["handled_by"]["id"] == alice.id
    assert (await alice.call("report:list", {"room": room}))["reports"] == []
    settled = await alice.call("report:resolve", {"report": number, "outcome": "deleted"})
    assert (settled["state"], settled["outcome"]) == ("resolved", "deleted")
    assert (await alice.refusal("report:dismiss", {"report": number}))["code"] == "conflict"
    assert (await alice.expect("report", id=number, state="resolved"))["data"] == settled


async def test_the_end_of_a_persons_sessions_closes_what_was_open_with_them(
    server: Server, connect: Connect, alice: Client, bob: Client
) -> None:
    browser = await connect(bob, by="cookie", namespace="users")
    answer = await alice.call("session:end", {"user": bob.id, "reason": "lost laptop"})
    assert answer == {"user": {"id": bob.id, "name": bob.name}}
    assert await browser.closed() == Close.SESSION_ENDED
    assert await bob.call("rooms"), "a token is no session"
    await alice.call("session:end", {"user": bob.id, "tokens": True})
    assert await bob.closed() == Close.SESSION_ENDED


async def test_the_rules_of_a_room_are_read_and_changed(alice: Client, bob: Client, room: str) -> None:
    rules = {"room": room, "slow_mode": 60, "filtered_words": ["fiddle"], "filter_action": "refuse"}
    assert await alice.call("room:rules", rules) == rules
    assert await alice.call("room:rules", {"room": room}) == rules
    assert (await bob.refusal("message", message(room, "fiddle")))["code"] == "forbidden"
    await bob.say(room, "hello")
    assert (await bob.refusal("message", message(room, "hi")))["code"] == "rate_limited"
    assert (await alice.refusal("room:rules", {"room": room, "slow_mode": 100_000}))["code"] == "bad_data"


async def test_a_closed_room_is_opened_again(alice: Client, bob: Client, room: str) -> None:
    await alice.call("room:close", {"room": room})
    assert (await bob.refusal("message", message(room, "hello")))["code"] == "forbidden"
    await alice.call("room:reopen", {"room": room})
    assert (await bob.say(room, "hello"))["seq"]
    assert (await alice.refusal("room:reopen", {"room": room}))["code"] == "conflict"
