"""Queues as services see them: who makes and finds them, and what lists and counts say."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import msgspec
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.delivery import door, leases, retention
from chat.delivery.entries import SYSTEM, Draft
from chat.delivery.leases import Done, Fail, Want
from chat.models import Ban, Membership, Room
from chat.services import listing, paging, queues, rooms
from tests.support.refusals import refusal

pytestmark = pytest.mark.django_db

numbers = count(1)


@pytest.fixture
def kitchen(alice: User) -> Room:
    return queues.create("orders", alice.pk, "kitchen")


def order(queue: Room, times: int = 1, item: Any = None) -> list[int]:
    drafts = [
        Draft("orders", queue.slug, SYSTEM, f"c{next(numbers)}", "item", body=json.dumps(item))
        for _ in range(times)
    ]
    return [receipt.seq for receipt in door.write(*drafts)]


def work(queue: Room, user: User, *outcomes: str) -> None:
    """The next orders are taken and settled: "done", "failed" or "" where they still run."""
    taken = leases.take([Want(queue.pk, user.pk, "p/S", len(outcomes))])
    for leased, outcome in zip(taken, outcomes, strict=True):
        key = (queue.pk, leased.order.seq, leased.token, user.pk)
        if outcome:
            leases.settle([Done(*key) if outcome == "done" else Fail(*key, "no")])


def ban(user: User, queue: Room) -> None:
    Ban.objects.create(user=user, room=queue, reason="late")


# Making


def test_a_queue_belongs_to_who_made_it(alice: User) -> None:
    queue = queues.create("orders", alice.pk, "kitchen", ordering="ordered", lease_seconds=5, max_attempts=2)
    assert queues.describe(queue) == {
        "queue": "kitchen",
        "name": "kitchen",
        "ordering": "ordered",
        "lease_seconds": 5,
        "max_attempts": 2,
        "closed": False,
        "counts": {"queued": 0, "leased": 0, "done": 0, "dead": 0},
    }
    assert Membership.objects.get(room=queue).user == alice
    assert Membership.objects.get(room=queue).role == "owner"


def test_a_queue_that_exists_is_a_conflict(kitchen: Room, bob: User) -> None:
    assert refusal(queues.create, "orders", bob.pk, "kitchen").code == "conflict"
    queues.create("chat", bob.pk, "kitchen")  # another namespace


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slug", "No"),
        ("ordering", "sideways"),
        ("lease_seconds", 0.5),
        ("lease_seconds", 86401),
        ("lease_seconds", float("nan")),
        ("max_attempts", 0),
        ("max_attempts", 1001),
        ("name", "two\nlines"),
        ("name", "x" * 101),
    ],
)
def test_a_queue_that_cannot_be_is_refused_with_the_reason(alice: User, field: str, value: Any) -> None:
    error = refusal(queues.create, "orders", alice.pk, **{"slug": "kitchen", field: value})
    assert error.code == "bad_data"
    assert error.more["field"] == {"slug": "queue"}.get(field, field)
    assert f"`{error.more['field']}`" in error.message


# What a worker or a client gives


@pytest.mark.parametrize("item", [None, 0, "", [], {"ü": ["\0", 1e300, -(2**70)]}, "x" * (32 * 1024 - 2)])
def test_any_json_is_an_item(item: Any) -> None:
    assert json.loads(queues.as_json("item", item)) == item


@pytest.mark.parametrize("item", ["x" * (32 * 1024 - 1), ["ü" * 16 * 1024], [[0]] * 10_000])
def test_an_item_of_more_than_32_kib_is_too_large(item: Any) -> None:
    error = refusal(queues.as_json, "item", item)
    assert (error.code, error.more) == ("too_large", {"field": "item", "limit": 32 * 1024})


@pytest.mark.parametrize("item", [float("nan"), float("inf"), object(), "\ud800", {1, 2}])
def test_what_is_no_json_is_no_item(item: Any) -> None:
    assert refusal(queues.as_json, "item", [item]).code == "bad_data"


@pytest.mark.parametrize("delay", [-1, 7 * 24 * 3600 + 1, float("nan"), float("inf")])
def test_a_delay_is_from_none_to_a_week(delay: float) -> None:
    queues.check_delay("delay", 0.5)
    assert refusal(queues.check_delay, "delay", delay).code == "bad_data"


# Finding


def test_everyone_finds_a_public_queue_also_when_it_is_closed(kitchen: Room, bob: User) -> None:
    assert queues.look("orders", "kitchen", bob.pk) == kitchen
    Room.objects.filter(pk=kitchen.pk).update(closed_at=timezone.now())
    assert queues.look("orders", "kitchen", bob.pk) == kitchen
    assert queues.list_queues("orders", bob.pk)["queues"][0]["closed"]


def test_a_private_queue_is_as_absent_to_an_outsider_as_none(kitchen: Room, alice: User, bob: User) -> None:
    Room.objects.filter(pk=kitchen.pk).update(private=True)
    assert queues.look("orders", "kitchen", alice.pk) == kitchen
    with CaptureQueriesContext(connection) as hidden_queries:
        hidden = refusal(queues.look, "orders", "kitchen", bob.pk).as_dict()
    with CaptureQueriesContext(connection) as absent_queries:
        absent = refusal(queues.look, "orders", "absent", bob.pk).as_dict()
    assert hidden["code"] == "not_found"
    assert str(hidden).replace("kitchen", "absent") == str(absent)
    assert len(hidden_queries) == len(absent_queries)
    assert queues.list_queues("orders", bob.pk)["queues"] == []


def test_who_is_banned_from_a_public_queue_is_told_so_and_does_not_see_it(kitchen: Room, bob: User) -> None:
    ban(bob, kitchen)
    assert refusal(queues.look, "orders", "kitchen", bob.pk).code == "banned"
    assert queues.list_queues("orders", bob.pk)["queues"] == []
    assert queues.list_orders("orders", bob.pk)["orders"] == []
    Room.objects.filter(pk=kitchen.pk).update(private=True)
    assert refusal(queues.look, "orders", "kitchen", bob.pk).code == "not_found"


def test_a_queue_is_no_room_and_a_room_no_queue(kitchen: Room, alice: User) -> None:
    rooms.create("orders", alice.pk, "hall")
    assert refusal(queues.look, "orders", "hall", alice.pk).code == "not_found"
    assert refusal(rooms.look, "orders", "kitchen", alice.pk).code == "not_found"
    assert [each["queue"] for each in queues.list_queues("orders", alice.pk)["queues"]] == ["kitchen"]
    assert [each["room"] for each in listing.list_for(alice.pk, "orders")["rooms"]] == ["hall"]


# Counts


def test_counts_say_where_the_orders_are(kitchen: Room, bob: User) -> None:
    Room.objects.filter(pk=kitchen.pk).update(max_attempts=1)
    order(kitchen, 9)
    work(kitchen, bob, "done", "done", "failed", "failed", "done", "")
    leases.bury("orders", "kitchen", 3, SYSTEM)
    assert queues.counts(kitchen) == {"queued": 3, "leased": 1, "done": 3, "dead": 1}


def test_neither_notices_nor_what_was_trimmed_is_counted(kitchen: Room, bob: User) -> None:
    order(kitchen, 3)
    door.write(Draft("orders", "kitchen", SYSTEM, "n1", "notice", extra={"text": "Fire."}))
    order(kitchen, 2)
    work(kitchen, bob, "done", "done", "done", "done")
    assert queues.counts(kitchen) == {"queued": 1, "leased": 0, "done": 4, "dead": 0}
    Room.objects.filter(pk=kitchen.pk).update(retain_entries=2)
    assert [step.first for step in retention.trim(kitchen.pk)] == [5]
    assert queues.counts(kitchen) == {"queued": 1, "leased": 0, "done": 1, "dead": 0}


# Lists


def test_queues_are_listed_by_name_in_pages(kitchen: Room, alice: User, bob: User) -> None:
    for slug in ("bar", "cellar"):
        queues.create("orders", alice.pk, slug)
    order(kitchen, 2)
    page = queues.list_queues("orders", bob.pk, limit=2)
    assert ([each["queue"] for each in page["queues"]], page["more"]) == (["bar", "cellar"], True)
    page = queues.list_queues("orders", bob.pk, after=page["next"], limit=2)
    assert page["queues"] == [queues.describe(kitchen)]
    assert page["queues"][0]["counts"]["queued"] == 2
    assert (page["more"], "next" in page) == (False, False)


def test_a_list_of_queues_is_one_query_however_long(alice: User, django_assert_num_queries: Any) -> None:
    for number in range(5):
        order(queues.create("orders", alice.pk, f"queue{number}"))
    with django_assert_num_queries(1):
        assert len(queues.list_queues("orders", alice.pk)["queues"]) == 5


def test_orders_of_a_queue_are_listed_newest_first_in_pages(kitchen: Room, bob: User) -> None:
    order(kitchen, 5, {"n": 1})
    work(kitchen, bob, "done", "failed")
    page = queues.list_orders("orders", bob.pk, "kitchen", limit=3)
    assert [each["seq"] for each in page["orders"]] == [5, 4, 3]
    assert (page["more"], page["next"]) == (True, 3)
    assert page["counts"] == {"queued": 4, "leased": 0, "done": 1, "dead": 0}
    page = queues.list_orders("orders", bob.pk, "kitchen", before=page["next"], limit=3)
    assert [(each["seq"], each["state"], each["attempts"]) for each in page["orders"]] == [
        (2, "queued", 1),
        (1, "done", 1),
    ]
    assert page["orders"][0]["reason"] == "no"
    assert page["orders"][1]["worker"] == {"id": bob.pk, "name": "bob"}
    assert (page["more"], "next" in page) == (False, False)


def test_orders_are_listed_by_their_state(kitchen: Room, bob: User) -> None:
    Room.objects.filter(pk=kitchen.pk).update(max_attempts=1)
    order(kitchen, 6)
    work(kitchen, bob, "done", "failed", "", "done", "failed")
    leases.bury("orders", "kitchen", 5, SYSTEM)

    def listed(state: str) -> list[int]:
        one, all_queues = (
            [each["seq"] for each in queues.list_orders("orders", bob.pk, queue, state)["orders"]]
            for queue in ("kitchen", None)
        )
        assert one == all_queues
        return one

    assert (listed("done"), listed("dead"), listed("leased")) == ([4, 1], [2], [3])
    assert (listed("queued"), listed("buried")) == ([6], [5])
    assert refusal(queues.list_orders, "orders", bob.pk, None, "lost").more == {"field": "state"}


def test_orders_of_all_queues_that_one_may_see_are_listed_together(
    kitchen: Room, alice: User, bob: User
) -> None:
    bar, office = (queues.create("orders", alice.pk, slug) for slug in ("bar", "office"))
    Room.objects.filter(pk=office.pk).update(private=True)
    for queue in (kitchen, bar, office, kitchen):
        order(queue)
    mine, his = (queues.list_orders("orders", user.pk) for user in (alice, bob))
    assert [(each["queue"], each["seq"]) for each in mine["orders"]] == [
        ("kitchen", 2),
        ("office", 1),
        ("bar", 1),
        ("kitchen", 1),
    ]
    assert [each["queue"] for each in his["orders"]] == ["kitchen", "bar", "kitchen"]
    assert (mine["counts"]["queued"], his["counts"]["queued"]) == (4, 3)
    page = queues.list_orders("orders", bob.pk, limit=2)
    assert (len(page["orders"]), page["more"], "next" in page) == (2, True, False)


def test_a_list_of_large_orders_fits_a_frame(kitchen: Room, alice: User) -> None:
    order(kitchen, 20, "x" * 30_000)
    page = queues.list_orders("orders", alice.pk, "kitchen")
    assert 0 < len(page["orders"]) < 20
    assert len(msgspec.json.encode(page)) <= paging.REPLY + 1024
    assert (page["more"], page["next"]) == (True, page["orders"][-1]["seq"])


@pytest.mark.parametrize("before", [-1, 2**63])
def test_a_place_that_cannot_be_is_bad_data(kitchen: Room, alice: User, before: int) -> None:
    assert refusal(queues.list_orders, "orders", alice.pk, "kitchen", before=before).code == "bad_data"


def test_before_the_first_there_is_nothing(kitchen: Room, alice: User) -> None:
    order(kitchen)
    for before in (0, 1):
        assert queues.list_orders("orders", alice.pk, "kitchen", before=before)["orders"] == []
