"""Queues and orders: making, listing, and who may do what, over a real server.

Alice owns the queues, Bob is another person, Charlie is banned or an outsider; Sam is staff.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.conftest import Connect
from tests.support import Client, Refused, Server

from .queues import ban, close, counts, die, fail, given, hand, make_queue, new, order, orders, work

pytestmark = pytest.mark.namespace("orders")


@pytest.fixture
async def sam(connect: Connect, server: Server) -> Client:
    return await connect(server.person("sam", staff=True))


@pytest.fixture
def mortal(server: Server, alice: Client) -> str:
    """A queue whose orders die at their first failure."""
    return make_queue(server, alice.person, max_attempts=1)


def every_event(queue: str) -> list[tuple[str, dict[str, Any]]]:
    """Every event that names a queue which is there already."""
    lease = {"queue": queue, "seq": 1, "token": "a" * 32}
    return [
        ("order:create", {"queue": queue, "client_id": "c1", "item": 1}),
        ("order:list", {"queue": queue}),
        ("order:work", {"queue": queue}),
        ("order:rest", {"queue": queue}),
        ("order:done", lease),
        ("order:fail", {**lease, "reason": "no"}),
        ("order:extend", lease),
        ("order:revive", {"queue": queue, "seq": 1}),
        ("order:bury", {"queue": queue, "seq": 1}),
        ("order:watch", {"queue": queue}),
        ("join", {"queue": queue}),
        ("leave", {"queue": queue}),
    ]


# Queues


@pytest.mark.each_server
async def test_anyone_makes_a_queue_and_finds_it_in_the_list(alice: Client, bob: Client) -> None:
    slug = new()
    made = await alice.call("queue:create", {"queue": slug, "lease_seconds": 60, "max_attempts": 3})
    assert made == {
        "queue": slug,
        "name": slug,
        "ordering": "ordered",
        "lease_seconds": 60.0,
        "max_attempts": 3,
        "closed": False,
        "counts": {"queued": 0, "leased": 0, "done": 0, "dead": 0},
    }
    await order(bob, slug)
    listed = await bob.call("queues", {"after": slug[:-1], "limit": 1})
    assert listed["queues"] == [{**made, "counts": {"queued": 1, "leased": 0, "done": 0, "dead": 0}}]


async def test_the_list_of_queues_comes_in_pages(server: Server, bob: Client) -> None:
    slugs = sorted(make_queue(server) for _ in range(3))
    seen: list[str] = []
    reply = await bob.call("queues", {"limit": 2})
    seen += [each["queue"] for each in reply["queues"]]
    while reply["more"]:
        reply = await bob.call("queues", {"limit": 2, "after": reply["next"]})
        seen += [each["queue"] for each in reply["queues"]]
    assert [slug for slug in seen if slug in slugs] == slugs


async def test_a_name_is_taken_once(alice: Client, bob: Client, queue: str) -> None:
    error = await bob.refusal("queue:create", {"queue": queue})
    assert error["code"] == "conflict" and error["queue"] == queue


async def test_a_queue_and_a_room_of_one_name_have_nothing_to_do_with_each_other(
    alice: Client, connect: Connect, server: Server
) -> None:
    slug = server.room("both", [alice.person])
    await alice.call("queue:create", {"queue": slug})
    chat = await connect(alice, namespace="chat")
    await chat.join(slug)
    await alice.call("order:watch", {"queue": slug})
    assert (await chat.say(slug, "a message"))["seq"] == 1
    assert await order(alice, slug, "an order") == 1
    assert (await alice.expect("order:created"))["data"]["item"] == "an order"
    assert [entry["event"] for entry in await chat.gets_upto(slug, 1)] == ["message"]
    assert "an order" not in json.dumps(chat.packets)
    assert "a message" not in json.dumps(alice.packets)


async def test_a_queue_is_no_room_and_a_room_is_no_queue(
    alice: Client, connect: Connect, server: Server, queue: str
) -> None:
    chat = await connect(alice, namespace="chat")
    assert (await chat.refusal("join", {"room": queue}))["code"] == "not_found"
    room = server.room("room", [alice.person])
    for event, data in every_event(room):
        assert (await alice.refusal(event, data))["code"] == "not_found", event


# Orders


@pytest.mark.each_server
@pytest.mark.parametrize(
    "item",
    [
        None,
        False,
        0,
        -1.5,
        10**30,
        "",
        "☕ \u2028 \U0001f600",
        [],
        {"a": [1, {"b": None}]},
        "x" * (32 * 1024 - 2),
    ],
    ids=lambda item: type(item).__name__,
)
async def test_an_order_is_any_json_and_comes_as_it_went(alice: Client, queue: str, item: Any) -> None:
    seq = await order(alice, queue, item)
    listed = (await alice.call("order:list", {"queue": queue}))["orders"]
    assert [(each["seq"], each["item"], each["state"]) for each in listed] == [(seq, item, "queued")]
    await work(alice, queue)
    assert (await given(alice))["item"] == item


async def test_an_order_is_stored_once_however_often_it_is_sent(
    alice: Client, bob: Client, queue: str
) -> None:
    data = {"queue": queue, "client_id": "my-order", "item": {"pizza": 1}}
    assert await alice.call("order:create", data) == {"queue": queue, "seq": 1, "duplicate": False}
    again = await alice.call("order:create", {**data, "item": "something else"})
    assert again == {"queue": queue, "seq": 1, "duplicate": True}
    assert (await bob.call("order:create", data))["seq"] == 2
    assert (await counts(alice, queue))["queued"] == 2


async def test_pipelined_orders_keep_their_order(alice: Client, queue: str) -> None:
    data = [{"queue": queue, "client_id": str(uuid.uuid4()), "item": n} for n in range(200)]
    answers = [await alice.submit("order:create", each) for each in data]
    assert [answer["seq"] for answer in await asyncio.gather(*answers)] == list(range(1, 201))
    await work(alice, queue, 100)
    assert [(await given(alice))["item"] for _ in range(100)] == list(range(100))


async def test_the_list_shows_the_newest_first_in_pages(alice: Client, queue: str) -> None:
    await orders(alice, queue, 5)
    await work(alice, queue)
    await given(alice)
    first = await alice.call("order:list", {"queue": queue, "limit": 3})
    assert [each["seq"] for each in first["orders"]] == [5, 4, 3]
    assert first["counts"] == {"queued": 4, "leased": 1, "done": 0, "dead": 0}
    assert first["more"] and first["next"] == 3
    rest = await alice.call("order:list", {"queue": queue, "limit": 3, "before": first["next"]})
    assert [(each["seq"], each["state"]) for each in rest["orders"]] == [(2, "queued"), (1, "leased")]
    assert not rest["more"] and "next" not in rest
    leased = await alice.call("order:list", {"queue": queue, "state": "leased"})
    (only,) = leased["orders"]
    assert only["worker"] == {"id": alice.id, "name": alice.name} and only["attempts"] == 1


async def test_the_list_of_all_queues_has_those_one_may_see(
    server: Server, alice: Client, bob: Client, queue: str
) -> None:
    hidden = make_queue(server, alice.person, private=True)
    await order(alice, queue, "for all to see")
    await order(alice, hidden, "a secret")
    mine = {each["queue"] for each in (await alice.call("order:list", {}))["orders"]}
    his = {each["queue"] for each in (await bob.call("order:list", {}))["orders"]}
    assert {queue, hidden} <= mine
    assert queue in his and hidden not in his


@pytest.mark.parametrize(
    ("event", "data", "field"),
    [
        ("queues", {"limit": 0}, "limit"),
        ("queues", {"after": 1}, "after"),
        ("queue:create", {}, "queue"),
        ("queue:create", {"queue": "No Slug"}, "queue"),
        ("queue:create", {"queue": "a", "ordering": "random"}, "ordering"),
        ("queue:create", {"queue": "a", "lease_seconds": 0}, "lease_seconds"),
        ("queue:create", {"queue": "a", "lease_seconds": 86401}, "lease_seconds"),
        ("queue:create", {"queue": "a", "max_attempts": 0}, "max_attempts"),
        ("queue:create", {"queue": "a", "max_attempts": 1001}, "max_attempts"),
        ("queue:create", {"queue": "a", "max_attempts": "5"}, "max_attempts"),
        ("queue:create", {"queue": "a", "name": "x" * 101}, "name"),
        ("order:create", {"client_id": "c", "item": 1}, "queue"),
        ("order:create", {"queue": "a", "item": 1}, "client_id"),
        ("order:create", {"queue": "a", "client_id": "with space", "item": 1}, "client_id"),
        ("order:create", {"queue": "a", "client_id": "c"}, "item"),
        ("order:list", {"queue": 7}, "queue"),
        ("order:list", {"queue": "a", "state": "lost"}, "state"),
        ("order:list", {"queue": "a", "before": -1}, "before"),
        ("order:list", {"before": 5}, "before"),
        ("order:list", {"queue": "a", "limit": -1}, "limit"),
        ("order:work", {}, "queue"),
        ("order:work", {"queue": "a", "max_in_flight": 0}, "max_in_flight"),
        ("order:work", {"queue": "a", "max_in_flight": 101}, "max_in_flight"),
        ("order:work", {"queue": "a", "max_in_flight": "many"}, "max_in_flight"),
        ("order:rest", {"queue": None}, "queue"),
        ("order:done", {"queue": "a", "token": "t"}, "seq"),
        ("order:done", {"queue": "a", "seq": 1}, "token"),
        ("order:done", {"queue": "a", "seq": 1, "token": 5}, "token"),
        ("order:done", {"queue": "a", "seq": "1", "token": "t"}, "seq"),
        ("order:fail", {"queue": "a", "seq": 1, "token": "t"}, "reason"),
        ("order:fail", {"queue": "a", "seq": 1, "token": "t", "reason": 5}, "reason"),
        ("order:fail", {"queue": "a", "seq": 1, "token": "t", "reason": "r", "delay": -1}, "delay"),
        ("order:fail", {"queue": "a", "seq": 1, "token": "t", "reason": "r", "delay": 604801}, "delay"),
        ("order:fail", {"queue": "a", "seq": 1, "token": "t", "reason": "r", "delay": "1"}, "delay"),
        ("order:extend", {"queue": "a", "seq": -1, "token": "t"}, "seq"),
        ("order:revive", {"queue": "a"}, "seq"),
        ("order:bury", {"queue": "a", "seq": 2**63}, "seq"),
        ("order:watch", {}, "queue"),
        ("leave", {"queue": "-"}, "queue"),
    ],
)
async def test_bad_data_names_the_field_and_says_what_would_be_right(
    alice: Client, queue: str, event: str, data: dict[str, Any], field: str
) -> None:
    known = {"queue": queue} if data.get("queue") == "a" and event != "queue:create" else {}
    error = await alice.refusal(event, {**data, **known})
    assert (error["code"], error["field"]) == ("bad_data", field), error
    assert f"`{field}`" in error["message"] and "Traceback" not in error["message"]


@pytest.mark.parametrize("item", ["x" * (32 * 1024 - 1), list(range(8000))])
async def test_an_item_over_32_kib_of_json_is_too_large(alice: Client, queue: str, item: Any) -> None:
    error = await alice.refusal("order:create", {"queue": queue, "client_id": "c", "item": item})
    assert (error["code"], error["field"], error["limit"]) == ("too_large", "item", 32 * 1024)
    assert await counts(alice, queue) == {"queued": 0, "leased": 0, "done": 0, "dead": 0}


# Who may


@pytest.mark.each_server
async def test_no_event_tells_a_private_queue_from_one_that_does_not_exist(
    server: Server, alice: Client, charlie: Client
) -> None:
    private = make_queue(server, alice.person, private=True)
    await hand(alice, alice, private, "a secret")
    absent = new()
    for (event, hidden), (_, missing) in zip(every_event(private), every_event(absent), strict=True):
        answer = await charlie.refusal(event, hidden)
        assert answer["code"] == "not_found", event
        words = json.dumps(answer).replace(private, absent)
        assert words == json.dumps(await charlie.refusal(event, missing)), event


async def test_who_is_banned_from_a_queue_is_told_so_at_every_event(
    server: Server, alice: Client, charlie: Client, queue: str
) -> None:
    await order(alice, queue)
    server.django(ban, queue, charlie.id, "spam")
    for event, data in every_event(queue):
        error = await charlie.refusal(event, data)
        if event in ("order:rest", "leave"):  # which ask only for what this socket is in
            assert error["code"] == "not_found", event
        elif event in ("order:revive", "order:bury"):
            assert error["code"] in ("banned", "forbidden"), event
        else:
            assert error["code"] == "banned" and "spam" in error["message"], (event, error)
    listed = await charlie.call("queues", {"limit": 100})
    assert queue not in [each["queue"] for each in listed["queues"]]


async def test_a_closed_queue_takes_no_orders_and_what_is_in_it_is_done(
    server: Server, alice: Client, bob: Client, queue: str
) -> None:
    seq = await order(alice, queue)
    server.django(close, queue)
    error = await alice.refusal("order:create", {"queue": queue, "client_id": "c", "item": 1})
    assert error["code"] == "forbidden"
    await work(bob, queue)
    assert (await given(bob))["seq"] == seq


@pytest.mark.parametrize("event", ["order:revive", "order:bury"])
async def test_the_dead_are_for_staff_and_the_queues_moderators(
    alice: Client, bob: Client, sam: Client, mortal: str, event: str
) -> None:
    for judge in (alice, sam):
        seq = await die(bob, mortal)
        error = await bob.refusal(event, {"queue": mortal, "seq": seq})
        assert error["code"] == "forbidden"
        judged = await judge.call(event, {"queue": mortal, "seq": seq})
        assert (judged["seq"], judged["state"]) == (
            seq,
            "queued" if event == "order:revive" else "buried",
        )
        again = await judge.refusal(event, {"queue": mortal, "seq": seq})
        assert again["code"] == "conflict" and judged["state"] in again["message"]
        if event == "order:revive":
            await work(bob, mortal)
            assert await fail(bob, await given(bob, seq=seq)) == {"state": "dead", "attempts": 1}
            await bob.call("order:rest", {"queue": mortal})


async def test_there_is_nothing_to_revive_where_there_is_no_order(alice: Client, mortal: str) -> None:
    for seq in (0, 1, 2**63 - 1):
        error = await alice.refusal("order:revive", {"queue": mortal, "seq": seq})
        assert error["code"] == "not_found"


async def test_nobody_comes_in_without_signing_in(connect: Connect) -> None:
    nobody = await connect("alice", by=None)
    assert (await nobody.expect_error())["code"] == "unauthenticated"
    assert await nobody.closed() == 4501


async def test_an_unknown_event_is_refused(alice: Client) -> None:
    with pytest.raises(Refused, match="unknown_event"):
        await alice.call("order:eat", {})
