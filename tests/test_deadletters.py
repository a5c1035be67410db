"""`manage.py deadletters`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from chat.delivery import door, leases
from chat.delivery.entries import SYSTEM, Draft
from chat.delivery.leases import Fail, Want
from chat.models import DeadLetter, Lease, Message, Room
from chat.services import queues
from tests.conftest import MakeServer
from tests.support.commands import call
from tests.test_order_command import on_a_terminal

pytestmark = pytest.mark.django_db

deadletters = partial(call, "deadletters")

Reason = DeadLetter.Reason


def make_dead(slug: str = "kitchen", orders: int = 3) -> Room:
    """A queue with one queued order behind these dead ones."""
    queue = queues.create("orders", SYSTEM, slug, max_attempts=1)
    for number in range(1, orders + 2):
        body = json.dumps({"number": number})
        door.write(Draft("orders", slug, SYSTEM, uuid.uuid4().hex, "item", body=body))
    for leased in leases.take([Want(queue.pk, SYSTEM, "cook", orders)]):
        leases.settle([Fail(queue.pk, leased.order.seq, leased.token, SYSTEM, "no gas at all")])
    return queue


def make_missed(slug: str = "general") -> Room:
    """A room of which bob never got 5 to 9, and alice never got 7."""
    room = Room.objects.create(namespace="chat", slug=slug, head=20)
    for name, first, last, reason in (("bob", 5, 9, Reason.EXPIRED), ("alice", 7, 7, Reason.MAX_DELIVER)):
        person, _ = User.objects.get_or_create(username=name)
        DeadLetter.objects.create(room=room, user=person, first=first, last=last, attempts=5, reason=reason)
    return room


def states() -> dict[int, str]:
    return dict(Lease.objects.order_by("seq").values_list("seq", "state"))


# list


def test_list_shows_orders_and_what_members_never_got_the_newest_first() -> None:
    make_dead(orders=1)
    make_missed()
    lines = [line.rpartition(" at=")[0] for line in deadletters("list").splitlines()]
    assert lines == [
        "chat/general 7 user=alice attempts=5 reason=max_deliver",
        "chat/general 5-9 user=bob attempts=5 reason=expired",
        'orders/kitchen 1 attempts=1 reason=max_attempts why="no gas at all"',
    ]


def test_list_of_a_place_shows_no_other() -> None:
    make_dead()
    make_missed()
    assert [line.split()[0] for line in deadletters("list", "general").splitlines()] == ["chat/general"] * 2
    assert [line.split()[1] for line in deadletters("list", "kitchen").splitlines()] == ["3", "2", "1"]


def test_list_as_json_has_the_items() -> None:
    make_dead(orders=1)
    shown = json.loads(deadletters("list", "--json"))
    assert shown.pop("at").endswith("Z")
    assert shown == {
        "place": "orders/kitchen",
        "first": 1,
        "last": 1,
        "user": None,
        "attempts": 1,
        "reason": "max_attempts",
        "why": "no gas at all",
        "item": {"number": 1},
    }


def test_list_says_when_there_are_more() -> None:
    make_dead()
    out, err = StringIO(), StringIO()
    call_command("deadletters", "list", "--limit", "2", stdout=out, stderr=err)
    assert out.getvalue().count("\n") == 2
    assert err.getvalue() == "There are more than these 2; --limit shows them.\n"


def test_list_without_dead_letters_prints_nothing() -> None:
    queues.create("orders", SYSTEM, "kitchen")
    assert deadletters("list") == deadletters("list", "kitchen") == ""


def test_a_reason_cannot_forge_a_line() -> None:
    queue = make_dead(orders=1)
    Lease.objects.filter(room=queue, seq=1).update(reason='x\nchat/general 1 user="root"')
    (line,) = deadletters("list").splitlines()
    assert r'why="x\nchat/general 1 user=\"root\""' in line


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_on_a_terminal_the_list_is_a_table(make_server: MakeServer) -> None:
    desk = make_server()
    desk.django(make_dead)
    shown = on_a_terminal(desk, "deadletters", "list")
    assert "│ orders/kitchen │ 3 " in shown
    assert '{"number": 3}' in shown
    assert "no gas at all" in shown


# Orders


def test_a_revived_order_is_queued_as_if_it_had_never_been_tried() -> None:
    queue = make_dead()
    assert deadletters("revive", "kitchen", "1", "3") == "kitchen 1 queued\nkitchen 3 queued\n"
    assert states() == {1: "queued", 2: "dead", 3: "queued", 4: "queued"}
    assert Lease.objects.get(seq=1).attempts == 0
    assert list(DeadLetter.objects.values_list("first", flat=True)) == [2]
    (first,) = leases.take([Want(queue.pk, SYSTEM, "cook", 1)])
    assert (first.order.seq, first.order.attempts) == (1, 1)


def test_a_buried_order_is_given_up_for_good() -> None:
    make_dead()
    assert deadletters("bury", "kitchen", "2") == "kitchen 2 buried\n"
    assert states() == {1: "dead", 2: "buried", 3: "dead", 4: "queued"}
    assert list(DeadLetter.objects.order_by("first").values_list("first", flat=True)) == [1, 3]


def test_all_are_all_dead_ones_of_the_queue() -> None:
    make_dead()
    make_dead("bar", orders=1)
    assert deadletters("revive", "kitchen", "--all").count("queued") == 3
    assert deadletters("bury", "bar", "--all") == "bar 1 buried\n"
    assert deadletters("revive", "kitchen", "--all") == ""
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("act", ["revive", "bury"])
def test_what_is_not_dead_is_refused_and_the_rest_is_done(act: str) -> None:
    make_dead()
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("deadletters", act, "kitchen", "1", "4", "9", stdout=out, stderr=err)
    assert out.getvalue() == f"kitchen 1 {'queued' if act == 'revive' else 'buried'}\n"
    assert err.getvalue().splitlines() == [
        "kitchen 4: order 4 is queued, not dead",
        "kitchen 9: there is no order 9 in this queue",
    ]
    done = "revived" if act == "revive" else "buried"
    assert str(refused.value) == f"2 of 3 orders could not be {done}."
    assert refused.value.returncode == 1


@pytest.mark.parametrize(("act", "event"), [("revive", "order:revived"), ("bury", "order:buried")])
def test_those_who_watch_are_told(act: str, event: str) -> None:
    queue = make_dead()
    deadletters(act, "kitchen", "1")
    entry = Message.objects.filter(kind="control").latest("seq")
    told = json.loads(entry.extra)
    assert (told["act"], told["room"]) == ("news", queue.pk)
    ((name, order),) = told["news"]
    assert (name, order["seq"], order["state"]) == (event, 1, states()[1])


# What members never got


def test_what_a_member_never_got_can_be_buried() -> None:
    make_missed()
    assert deadletters("bury", "general", "6") == "chat/general 5-9 bob buried\n"
    assert list(DeadLetter.objects.values_list("user__username", flat=True)) == ["alice"]


def test_a_number_stands_for_every_letter_that_covers_it_unless_a_member_is_named() -> None:
    make_missed()
    assert deadletters("bury", "general", "7", "--user", "bob") == "chat/general 5-9 bob buried\n"
    make_missed("other")
    assert deadletters("bury", "other", "7").splitlines() == [
        "chat/other 7 alice buried",
        "chat/other 5-9 bob buried",
    ]
    assert DeadLetter.objects.get().room.slug == "general"


def test_all_letters_of_a_room_can_be_buried() -> None:
    make_missed()
    assert deadletters("bury", "general", "--all").count("buried") == 2
    assert not DeadLetter.objects.exists()


def test_what_a_member_never_got_cannot_be_revived_and_the_line_says_why() -> None:
    make_missed()
    with pytest.raises(CommandError) as refused:
        deadletters("revive", "general", "7")
    assert str(refused.value) == (
        "chat/general is a room: its members' cursors have moved past what they never got, so it is not "
        "sent again; a member finds it by paging back in the room's history."
    )
    assert DeadLetter.objects.count() == 2


def test_a_number_that_no_letter_covers_is_refused() -> None:
    make_missed()
    with pytest.raises(CommandError, match="1 of 2 entries could not be buried"):
        deadletters("bury", "general", "4", "5")
    assert DeadLetter.objects.get().user == User.objects.get(username="alice")


# Places


def test_a_name_that_several_places_have_needs_its_namespace() -> None:
    make_dead("general", orders=1)
    make_missed("general")
    with pytest.raises(CommandError, match="there are chat/general and orders/general: say which"):
        deadletters("list", "general")
    assert deadletters("list", "orders/general").startswith("orders/general 1 ")
    assert deadletters("list", "/chat/general").startswith("chat/general 7 ")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["list", "nowhere"], 1, "there is no queue or room 'nowhere'"),
        (["list", "control"], 1, "there is no queue or room 'control'"),
        (["revive", "kitchen"], 2, "Give either numbers or --all."),
        (["bury", "kitchen", "1", "--all"], 2, "Give either numbers or --all."),
        (["bury", "kitchen", "1", "--user", "bob"], 2, "--user is for rooms; orders/kitchen is a queue."),
        (["bury", "kitchen", "0"], 1, "argument SEQ: must be an integer from 1"),
        (["list", "--limit", "many"], 1, "argument --limit: must be an integer from 1 to 1000000"),
        (["eat", "kitchen"], 1, "invalid choice: 'eat'"),
    ],
)
def test_wrong_usage_is_one_line_and_changes_nothing(
    arguments: Sequence[str], status: int, says: str
) -> None:
    make_dead()
    with pytest.raises(CommandError) as refused:
        deadletters(*arguments)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    # Called from the command line, argparse ends with 2 itself.
    assert refused.value.returncode == status
    assert DeadLetter.objects.count() == 3


def test_help_tells_the_exit_status_of_each_command(capsys: Any) -> None:
    for command in ("work", "order", "deadletters"):
        with pytest.raises(SystemExit):
            call_command(command, "--help")
        shown = capsys.readouterr().out
        assert "\nexit status:\n  0 " in shown
        assert "\nexample" in shown
        assert max(map(len, shown.splitlines())) <= 100
