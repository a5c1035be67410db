"""Working in a queue over a real server: leases, answers, lost sockets, lost rights.

Alice owns the queues, Bob and Charlie work in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

import pytest

from chat.errors import Close
from tests.conftest import Connect, MakeServer
from tests.support import Client, Server

from .queues import (
    attempts,
    ban,
    counts,
    done,
    fail,
    given,
    hand,
    lease,
    make_queue,
    only,
    order,
    orders,
    rest,
    watch,
    work,
)

STALE = {"code": "stale_lease", "temporary": False}

pytestmark = pytest.mark.namespace("orders")


@pytest.fixture
def ordered(server: Server, alice: Client) -> str:
    return make_queue(server, alice.person, ordering="ordered")


# Giving out and doing


@pytest.mark.each_server
async def test_an_order_goes_to_a_worker_who_does_it(alice: Client, bob: Client, queue: str) -> None:
    assert await work(bob, queue) == []
    seq = await order(alice, queue, {"pizza": "Margherita"})
    mine = await given(bob)
    assert mine.keys() == {"queue", "seq", "token", "attempts", "item", "lease_until"}
    assert (mine["queue"], mine["seq"], mine["attempts"]) == (queue, seq, 1)
    assert mine["item"] == {"pizza": "Margherita"}
    assert (await only(alice, queue))["state"] == "leased"
    assert await done(bob, mine, result={"baked": True}) is False
    shown = await only(alice, queue)
    assert (shown["state"], shown["attempts"]) == ("done", 1)
    assert shown["worker"] == {"id": bob.id, "name": bob.name}


async def test_what_waited_goes_to_who_comes_to_work(alice: Client, bob: Client, queue: str) -> None:
    seqs = await orders(alice, queue, 3)
    await work(bob, queue, 5)
    assert [(await given(bob))["seq"] for _ in range(3)] == seqs


async def test_orders_come_after_the_answer_to_the_one_who_works(
    alice: Client, bob: Client, queue: str
) -> None:
    await hand(alice, bob, queue)
    kinds = ["ack" if "ack" in packet else packet["event"] for packet in bob.packets[1:]]
    assert kinds == ["ack", "order"]


async def test_a_worker_has_no_more_than_max_in_flight(alice: Client, bob: Client, queue: str) -> None:
    await orders(alice, queue, 5)
    await work(bob, queue, 2)
    first = await given(bob)
    await given(bob)
    assert await counts(alice, queue) == {"queued": 3, "leased": 2, "done": 0, "dead": 0}
    await done(bob, first)
    assert (await given(bob))["item"] == 2
    assert await counts(alice, queue) == {"queued": 2, "leased": 2, "done": 1, "dead": 0}


async def test_who_comes_again_changes_max_in_flight_and_keeps_what_is_in_hand(
    alice: Client, bob: Client, queue: str
) -> None:
    await orders(alice, queue, 3)
    await work(bob, queue)
    first = await given(bob)
    leased = await work(bob, queue, 3)
    assert leased == [{key: first[key] for key in ("seq", "token", "attempts", "lease_until")}]
    assert [(await given(bob))["item"] for _ in range(2)] == [1, 2]


async def test_after_a_rest_nothing_more_comes(alice: Client, bob: Client, queue: str) -> None:
    await orders(alice, queue, 2)
    await work(bob, queue)
    first = await given(bob)
    await rest(bob, queue)
    await done(bob, first)
    assert await counts(alice, queue) == {"queued": 1, "leased": 0, "done": 1, "dead": 0}
    await work(bob, queue)
    assert (await given(bob))["item"] == 1


async def test_done_is_answered_again_with_the_same_token(bob: Client, queue: str) -> None:
    mine = await hand(bob, bob, queue)
    assert [await done(bob, mine), await done(bob, mine), await done(bob, mine)] == [False, True, True]


@pytest.mark.each_server
@pytest.mark.parametrize("event", ["order:done", "order:fail", "order:extend"])
async def test_a_foreign_or_made_up_token_is_stale(
    alice: Client, bob: Client, charlie: Client, queue: str, event: str
) -> None:
    mine = await hand(alice, bob, queue)
    more = {"reason": "x"} if event == "order:fail" else {}
    for thief, token in ((charlie, mine["token"]), (bob, "0" * 32), (bob, ""), (charlie, "é\u2028")):
        error = await thief.refusal(event, {**lease(mine, **more), "token": token})
        assert STALE.items() <= error.items()
    error = await bob.refusal(event, {**lease(mine, **more), "seq": mine["seq"] + 1})
    assert error["code"] == "not_found"
    assert (await only(alice, queue))["state"] == "leased"
    assert await done(bob, mine) is False


async def test_many_are_done_in_one_go(alice: Client, bob: Client, queue: str) -> None:
    await orders(alice, queue, 100)
    await work(bob, queue, 100)
    mine = [await given(bob) for _ in range(100)]
    answers = [await bob.submit("order:done", lease(each)) for each in mine]
    assert [each["duplicate"] for each in await asyncio.gather(*answers)] == [False] * 100
    assert (await counts(alice, queue))["done"] == 100


async def test_a_result_over_32_kib_is_too_large(bob: Client, queue: str) -> None:
    mine = await hand(bob, bob, queue)
    error = await bob.refusal("order:done", lease(mine, result="x" * 32 * 1024))
    assert (error["code"], error["field"]) == ("too_large", "result")
    assert await done(bob, mine) is False


# Sharing


async def test_work_is_shared_out_one_each_in_turn(
    alice: Client, bob: Client, charlie: Client, queue: str
) -> None:
    workers = (alice, bob, charlie)
    for worker in workers:
        await work(worker, queue, 3)
    drafts = [{"queue": queue, "client_id": str(number), "item": number} for number in range(9)]
    for each in drafts:
        await alice.submit("order:create", each)
    for worker in workers:
        for _ in range(3):
            await given(worker)
    # Whatever was taken together: everyone's first came before anyone's third.
    assert max(got(worker)[0] for worker in workers) < min(got(worker)[2] for worker in workers)


def got(worker: Client) -> list[int]:
    """The orders that this worker was given so far."""
    return [packet["data"]["seq"] for packet in worker.packets if packet.get("event") == "order"]


async def test_one_worker_of_many_does_not_take_what_the_others_want(
    alice: Client, bob: Client, charlie: Client, queue: str
) -> None:
    workers = {bob.id: bob, charlie.id: charlie}
    await work(bob, queue, 100)
    await work(charlie, queue)
    await watch(alice, queue)
    turns = []
    for number in range(6):
        await order(alice, queue, number)
        turns.append((await alice.expect("order:leased"))["data"]["worker"]["id"])
        worker = workers[turns[-1]]
        await done(worker, await given(worker))
    assert turns in ([bob.id, charlie.id] * 3, [charlie.id, bob.id] * 3)


@pytest.mark.each_server
async def test_an_ordered_queue_has_one_order_in_flight(
    alice: Client, bob: Client, charlie: Client, ordered: str
) -> None:
    for worker in (bob, charlie):
        await work(worker, ordered, 10)
    await orders(alice, ordered, 6)
    for number in range(6):
        worker = (bob, charlie)[number % 2]
        mine = await given(worker)
        assert mine["item"] == number
        assert (await counts(alice, ordered))["leased"] == 1
        await done(worker, mine)


async def test_in_an_ordered_queue_a_failed_order_stays_first_and_the_queue_waits(
    alice: Client, bob: Client, ordered: str
) -> None:
    await orders(alice, ordered, 2)
    await work(bob, ordered, 10)
    began = time.monotonic()
    assert await fail(bob, await given(bob), delay=0.7) == {"state": "queued", "attempts": 1}
    again = await given(bob)
    assert (again["item"], again["attempts"]) == (0, 2)
    assert time.monotonic() - began >= 0.69
    await done(bob, again)
    assert (await given(bob))["item"] == 1


# Failing


@pytest.mark.each_server
async def test_a_failed_order_comes_again_until_its_attempts_are_used_up(
    server: Server, alice: Client, bob: Client
) -> None:
    queue = make_queue(server, alice.person, max_attempts=3)
    await watch(alice, queue)
    seq = await order(alice, queue, "hopeless")
    await work(bob, queue)
    for attempt, state in ((1, "queued"), (2, "queued"), (3, "dead")):
        mine = await given(bob, seq=seq)
        assert mine["attempts"] == attempt
        assert await fail(bob, mine, f"no luck, {attempt}") == {"state": state, "attempts": attempt}
    died = (await alice.expect("order:dead"))["data"]
    assert (died["state"], died["attempts"], died["reason"]) == ("dead", 3, "no luck, 3")
    assert await counts(alice, queue) == {"queued": 0, "leased": 0, "done": 0, "dead": 1}
    error = await bob.refusal("order:done", lease(mine))
    assert error["code"] == "stale_lease"


async def test_a_fail_is_answered_again_and_counted_once(alice: Client, bob: Client, queue: str) -> None:
    mine = await hand(alice, bob, queue)
    await rest(bob, queue)
    first = await fail(bob, mine)
    assert await fail(bob, mine) == first == {"state": "queued", "attempts": 1}
    assert (await bob.refusal("order:done", lease(mine)))["code"] == "stale_lease"
    assert (await only(alice, queue))["reason"] == "no luck"


async def test_a_failed_order_holds_back_no_other_in_an_unordered_queue(
    alice: Client, bob: Client, queue: str
) -> None:
    await orders(alice, queue, 2)
    await work(bob, queue)
    await fail(bob, await given(bob), delay=0.5)
    second = await given(bob)
    assert second["item"] == 1
    await done(bob, second)
    again = await given(bob)
    assert (again["item"], again["attempts"]) == (0, 2)


async def test_a_revived_order_begins_anew_at_its_old_place(
    server: Server, alice: Client, bob: Client
) -> None:
    queue = make_queue(server, alice.person, ordering="ordered", max_attempts=1)
    await orders(alice, queue, 2)
    await work(bob, queue)
    dead = await given(bob)
    await fail(bob, dead)
    second = await given(bob)
    revived = await alice.call("order:revive", {"queue": queue, "seq": dead["seq"]})
    assert (revived["state"], revived["attempts"]) == ("queued", 0)
    await done(bob, second)
    again = await given(bob)
    assert (again["seq"], again["attempts"]) == (dead["seq"], 1) and again["token"] != dead["token"]
    assert (await bob.refusal("order:done", lease(dead)))["code"] == "stale_lease"
    assert await done(bob, again) is False


# Lapsing and extending


@pytest.fixture
def brief(server: Server, alice: Client) -> str:
    """A queue with leases of a second."""
    return make_queue(server, alice.person, lease_seconds=1)


@pytest.mark.each_server
async def test_what_is_not_done_in_time_goes_to_another(
    alice: Client, bob: Client, charlie: Client, brief: str
) -> None:
    await watch(alice, brief)
    lost = await hand(alice, bob, brief)
    await rest(bob, brief)
    await work(charlie, brief)
    found = await given(charlie)
    assert (found["seq"], found["attempts"]) == (lost["seq"], 2) and found["token"] != lost["token"]
    assert (await alice.expect("order:failed"))["data"]["reason"] == "the lease lapsed"
    assert (await bob.refusal("order:done", lease(lost)))["code"] == "stale_lease"
    assert await done(charlie, found) is False


async def test_done_counts_after_a_mere_lapse(alice: Client, bob: Client, brief: str) -> None:
    await watch(alice, brief)
    mine = await hand(alice, bob, brief)
    await rest(bob, brief)
    await alice.expect("order:failed")
    assert await done(bob, mine) is False
    assert (await only(alice, brief))["state"] == "done"


async def test_a_lapse_frees_the_worker_for_the_next_order(alice: Client, bob: Client, brief: str) -> None:
    first = await hand(alice, bob, brief)
    assert (await given(bob))["attempts"] == first["attempts"] + 1


async def test_an_extended_lease_does_not_lapse(
    alice: Client, bob: Client, charlie: Client, brief: str
) -> None:
    mine = await hand(alice, bob, brief)
    await work(charlie, brief)
    until, began = mine["lease_until"], time.monotonic()
    while time.monotonic() - began < 2.5:  # well past the lease's end
        await asyncio.sleep(0.3)
        extended = (await bob.call("order:extend", lease(mine)))["lease_until"]
        assert extended > until
        until = extended
    assert await done(bob, mine) is False
    assert got(charlie) == []


async def test_who_extends_from_another_socket_has_the_order_there(
    alice: Client, bob: Client, connect: Connect, queue: str
) -> None:
    mine = await hand(alice, bob, queue)
    other = await connect(bob)
    await other.call("order:extend", lease(mine))
    await bob.close()
    # The old socket's end puts nothing back: the new one has it.
    await work(alice, queue)
    assert (await only(alice, queue))["state"] == "leased"
    assert await done(other, mine) is False


# Lost sockets


@pytest.mark.each_server
async def test_the_orders_of_a_socket_that_closes_go_to_others_at_once(
    alice: Client, bob: Client, charlie: Client, queue: str
) -> None:
    await watch(alice, queue)
    lost = await hand(alice, bob, queue)
    await work(charlie, queue)
    await bob.drop()
    found = await given(charlie)
    assert (found["seq"], found["attempts"]) == (lost["seq"], 2)
    assert (await alice.expect("order:failed"))["data"]["reason"] == "the worker was lost"


async def test_the_token_of_a_lost_socket_counts_until_another_has_the_order(
    alice: Client, bob: Client, connect: Connect, queue: str
) -> None:
    await watch(alice, queue)
    mine = await hand(alice, bob, queue)
    await bob.drop()
    await alice.expect("order:failed")
    back = await connect(bob)
    assert await done(back, mine) is False


@pytest.mark.each_server
async def test_what_a_socket_did_before_it_closed_is_done(
    alice: Client, bob: Client, charlie: Client, queue: str
) -> None:
    await watch(alice, queue)
    await orders(alice, queue, 50)
    await work(bob, queue, 50)
    mine = [await given(bob) for _ in range(50)]
    await work(charlie, queue, 50)
    for each in mine:
        await bob.emit("order:done", lease(each))
    await bob.close()
    for _ in mine:
        await alice.expect("order:done")
    assert got(charlie) == []
    assert (await counts(alice, queue))["done"] == 50


async def test_another_socket_of_the_person_does_not_take_over_what_a_living_one_has(
    alice: Client, bob: Client, connect: Connect, queue: str
) -> None:
    mine = await hand(alice, bob, queue)
    other = await connect(bob)
    assert await work(other, queue) == []
    assert await done(bob, mine) is False


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_a_restart_costs_no_attempt_and_the_worker_goes_on(make_server: MakeServer, kind: str) -> None:
    server = make_server(kind, env={"RATE_LIMIT": "off"}).start()
    bob = server.person("bob")
    queue = make_queue(server, bob)
    before = await Client.open(server.ws, "orders", token=bob.token)
    await order(before, queue, "first")
    await order(before, queue, "second")
    await work(before, queue)
    mine = await given(before)
    await asyncio.to_thread(server.stop)
    assert await before.closed() == Close.GOING_AWAY
    await asyncio.to_thread(server.start)
    after = await Client.open(server.ws, "orders", token=bob.token)
    (leased,) = await work(after, queue)
    assert (leased["seq"], leased["token"]) == (mine["seq"], mine["token"])
    assert (leased["item"], leased["attempts"]) == ("first", 1)
    assert server.django(attempts, queue) == {1: ("leased", 1), 2: ("queued", 0)}, "it counts"
    assert await done(after, mine) is False
    assert (await given(after))["item"] == "second"
    await after.drop()


# Watching


@pytest.mark.each_server
async def test_watchers_hear_what_becomes_of_an_order(
    server: Server, alice: Client, bob: Client, charlie: Client
) -> None:
    queue = make_queue(server, alice.person, max_attempts=2)
    assert await watch(bob, queue) == {"queued": 0, "leased": 0, "done": 0, "dead": 0}
    await charlie.call("join", {"queue": queue})
    seq = await order(alice, queue, "pizza")
    await work(alice, queue)
    await fail(alice, await given(alice))
    await fail(alice, await given(alice))
    await alice.call("order:revive", {"queue": queue, "seq": seq})
    await done(alice, await given(alice))
    heard = ["created", "leased", "failed", "leased", "dead", "revived", "leased", "done"]
    for watcher in (bob, charlie):
        news = [(await watcher.expect(f"order:{event}"))["data"] for event in heard]
        assert [each["state"] for each in news] == [
            "queued", "leased", "queued", "leased", "dead", "queued", "leased", "done",
        ]  # fmt: skip
        assert [each["attempts"] for each in news] == [0, 1, 1, 2, 2, 0, 1, 1]
        assert {each["item"] for each in news} == {"pizza"}
        events = [packet["event"] for packet in watcher.packets if "event" in packet][1:]
        assert events == [f"order:{event}" for event in heard]


async def test_who_no_longer_watches_hears_nothing(alice: Client, bob: Client, queue: str) -> None:
    await watch(bob, queue)
    await watch(alice, queue)
    assert await bob.call("leave", {"queue": queue}) == {"queue": queue}
    await order(alice, queue)
    await alice.expect("order:created")
    await bob.call("queues", {})
    assert not [packet for packet in bob.packets if packet.get("event", "").startswith("order:")]
    assert (await bob.refusal("leave", {"queue": queue}))["code"] == "not_found"


# Lost rights


@pytest.mark.each_server
async def test_a_worker_who_is_banned_gets_nothing_more_and_what_they_had_goes_to_others(
    server: Server, alice: Client, bob: Client, charlie: Client, queue: str
) -> None:
    await watch(bob, queue)
    mine = await hand(alice, bob, queue, "first")
    await work(charlie, queue)
    server.django(ban, queue, bob.id, "spam")
    assert (await bob.expect_error("banned"))["queue"] == queue
    assert (await given(charlie))["seq"] == mine["seq"]
    await order(alice, queue, "second")
    assert (await bob.refusal("order:done", lease(mine)))["code"] == "banned"
    assert (await bob.refusal("order:work", {"queue": queue}))["code"] == "banned"
    assert got(bob) == [mine["seq"]]
    assert "second" not in str(bob.packets)


@pytest.mark.each_server
async def test_the_orders_of_an_account_that_is_switched_off_go_to_others(
    server: Server, alice: Client, bob: Client, charlie: Client, queue: str
) -> None:
    mine = await hand(alice, bob, queue)
    await work(charlie, queue)

    def switch_off() -> None:
        from django.contrib.auth.models import User

        user = User.objects.get(pk=bob.id)
        user.is_active = False
        user.save()

    server.django(switch_off)
    assert await bob.closed() == Close.SESSION_ENDED
    assert (await given(charlie))["seq"] == mine["seq"]


# Outages


def rename(old: str, new: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.mark.timeout(100)
async def test_work_goes_on_after_an_outage_of_the_database(make_server: MakeServer) -> None:
    server = make_server("uvicorn").start()
    person = server.person("alice")
    queue = make_queue(server, person)
    alice = await Client.open(server.ws, "orders", token=person.token)
    await order(alice, queue, "before")
    with outage(server):
        error = await alice.refusal("order:work", {"queue": queue})
        assert error["code"] == "unavailable" and error["temporary"]
    await work(alice, queue)
    mine = await given(alice)
    with outage(server):
        assert (await alice.refusal("order:done", lease(mine)))["temporary"]
    await fail(alice, mine, delay=0.3)
    with outage(server):
        while "work can't be given out now" not in server.log():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.05)
    again = await given(alice)
    assert again["attempts"] == 2
    assert await done(alice, again) is False
    await alice.drop()


@contextlib.contextmanager
def outage(server: Server) -> Iterator[None]:
    """Without its table every query of a lease fails as without a database."""
    server.django(rename, "chat_lease", "chat_lease_away")
    yield
    server.django(rename, "chat_lease_away", "chat_lease")
