"""Rooms as JSON lines: what goes out comes in the same, once, and never by halves."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import IntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.delivery import door, leases, retention, staging
from chat.errors import EventError
from chat.models import Ban, DeadLetter, Membership, Mention, Message, Report, Room
from chat.services import archive, queues, search
from chat.services.archive import importing
from chat.services.rendering import clean, render

from .archives import as_dicts, as_lines, bring_in, content, copy, exported, refused, rows
from .conftest import MakeRoom
from .orders import dead_orders, done, fail, item, kill, order, states, take_one
from .support import (
    act,
    bodies,
    check_dense,
    control_room,
    controls,
    dead_letters,
    draft,
    entries,
    now,
    others,
    place,
    say,
)

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


# What goes out comes in the same

ACTS = st.lists(
    st.tuples(
        st.sampled_from(["say", "say", "say", "mention", "reply", "edit", "delete", "react", "notice"]),
        st.integers(0, 1),
        st.integers(0, 30),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30),
    ),
    max_size=25,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS, numbers=st.randoms(use_true_random=False), unordered=st.booleans())
def test_what_was_exported_and_imported_is_exported_the_same(
    make_room: MakeRoom, alice: User, bob: User, acts: Any, numbers: Any, unordered: bool
) -> None:
    room = make_room(ordering="unordered" if unordered else "ordered", topic="Tea & <b>")
    for kind, who, target, text in acts:
        do(room, [alice, bob][who], kind, target, text, [alice, bob][1 - who])
    give_members_a_past(room, numbers)
    there = copy(room, f"copy-of-{room.slug}")
    assert content(there) == content(room)
    check_dense(there)
    assert mentions(there) == mentions(room)
    assert [member.read_messages for member in members(there)] == [
        Message.objects.filter(room=room, seq__lte=member.read, kind="message").count()
        for member in members(room)
    ]


def do(room: Room, user: User, kind: str, target: int, text: str, other: User) -> None:
    if kind in ("say", "mention", "reply"):
        extra: dict[str, Any] = {"mentions": [{"id": other.pk, "name": other.username}]}
        more = {"say": {}, "mention": extra, "reply": {"reply_to": target}}[kind]
        door.write(draft(room, user, text, html=render(text), extra=more))
    elif kind == "notice":
        about = {"user": {"id": other.pk, "name": "known as this once"}, "text": text, "act": "mute"}
        door.write(draft(room, None, "", kind="notice", extra=about))
    else:
        try:
            door.write(act(kind, room, user, target, text if kind == "edit" else ""))
        except EventError:
            pass  # no such message, or not this person's


def give_members_a_past(room: Room, numbers: Any) -> None:
    head = now(room).head
    for member in members(room):
        received = numbers.randint(0, head)
        rest = [seq for seq in range(received + 2, head + 1) if numbers.random() < 0.5]
        Membership.objects.filter(pk=member.pk).update(
            received=received,
            read=numbers.randint(0, head),
            joined_at_seq=numbers.randint(0, head),
            acked=str(ranges(rest)) if room.ordering == "unordered" else "",
            muted_until=numbers.choice([None, AT]),
            notify=numbers.random() < 0.5,
        )


def ranges(seqs: list[int]) -> Any:
    from chat.delivery.ranges import Ranges

    return Ranges((seq, seq) for seq in seqs)


def members(room: Room) -> list[Membership]:
    return list(Membership.objects.filter(room=room).order_by("pk"))


def mentions(room: Room) -> list[Any]:
    return sorted(Mention.objects.filter(room=room).values_list("user", "seq"))


def test_what_moderators_and_retention_have_done_comes_along(
    room: Room, alice: User, bob: User, charlie: User
) -> None:
    for _ in range(6):
        say(room, alice)
    Room.objects.filter(pk=room.pk).update(retain_entries=3, slow_mode=5, filtered_words="tea\ncoffee")
    Membership.objects.filter(room=room).update(received=4)
    while retention.trim_slice(room.pk):
        pass
    Ban.objects.create(room=room, user=charlie, reason="spam", by=alice, until=AT)
    Report.objects.create(room=room, seq=5, reporter=bob, reason="rude", state="claimed", handled_by=alice)
    DeadLetter.objects.create(room=room, user=bob, first=1, last=2, reason="expired")
    there = copy(room)
    assert content(there) == content(room)
    assert (there.first, there.retain_entries, there.slow_mode) == (4, 3, 5)
    assert dead_letters(there, bob) == [(1, 2, 0, "expired")]
    assert {"act": "rules"} in [{"act": each["act"]} for each in controls()]


def test_an_import_has_an_epoch_of_its_own(room: Room, alice: User) -> None:
    say(room, alice)
    assert copy(room).epoch != room.epoch


def test_a_retry_after_a_restore_gets_its_first_answer(room: Room, alice: User, bob: User) -> None:
    say(room, bob)
    door.write(draft(room, alice, "once", client_id="mine"))
    there = copy(room)
    say(there, bob)
    (receipt,) = door.write(draft(there, alice, "once", client_id="mine"))
    assert (receipt.seq, receipt.duplicate) == (2, True)
    check_dense(there)


def test_a_retry_of_what_was_deleted_or_trimmed_gets_it_too(room: Room, alice: User) -> None:
    door.write(
        draft(room, alice, "gone", client_id="trimmed"), draft(room, alice, "gone", client_id="deleted")
    )
    door.write(act("delete", room, alice, 2))
    Room.objects.filter(pk=room.pk).update(retain_entries=2)
    Membership.objects.filter(room=room).update(received=3)
    retention.trim_slice(room.pk)
    there = copy(room)
    retries = [draft(there, alice, "gone", client_id=each) for each in ("trimmed", "deleted")]
    assert [receipt.seq for receipt in door.write(*retries)] == [1, 2]
    assert bodies(there) == ["", ""]


def test_a_restored_member_gets_what_they_had_not_received(room: Room, alice: User, bob: User) -> None:
    for _ in range(4):
        say(room, alice)
    Membership.objects.filter(room=room, user=bob).update(received=2)
    there = copy(room)
    assert [entry.seq for entry in entries(there, place(there, bob).received)] == [3, 4]


def test_html_comes_in_as_safe_as_if_it_were_made_here(room: Room, alice: User) -> None:
    door.write(draft(room, alice, "**hi**", html=render("**hi**")))
    lines = as_dicts(exported(room))
    lines[2]["html"] += "<script>alert(1)</script><img src=x onerror=alert(1)>"
    bring_in(as_lines(lines), "copy")
    assert Message.objects.get(room__slug="copy").html == render("**hi**")


@given(st.text(max_size=60))
def test_cleaning_what_was_rendered_changes_nothing(body: str) -> None:
    html = render(body)
    assert clean(html) == html


def test_what_came_in_is_found_by_its_words(room: Room, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    say(room, alice, "a teapot")
    data = exported(room)
    there = copy(room)
    (found,) = search.search("chat", alice.pk, "teapot", room=there.slug)["messages"]
    assert (found["room"], found["seq"]) == (there.slug, 1)
    cut_short(data, 1, monkeypatch, "another")  # which nobody finds, and which goes with its words
    (begun,) = archive.leftovers()
    assert len(search.search("chat", alice.pk, "teapot")["messages"]) == 2
    archive.remove(begun)
    assert len(search.search("chat", alice.pk, "teapot")["messages"]) == 2


# Queues


def test_orders_come_in_as_they_stand_and_a_running_one_is_queued(
    queue: Room, alice: User, bob: User
) -> None:
    order(queue, 5)
    leases.settle([done(take_one(queue, bob), bob, {"ok": [1]})])
    kill(queue, bob)
    leases.settle([fail(take_one(queue, bob), bob, delay=600)])
    running = take_one(queue, bob)
    assert running.order.seq == 4
    there = copy(queue)
    assert states(there) == ["done", "dead", "queued", "queued", "queued"]
    assert content(there) == content(queue)
    assert dead_orders(there) == dead_orders(queue) == [(2, 2, 5, "max_attempts")]
    assert queues.counts(there) == {"queued": 3, "leased": 0, "done": 1, "dead": 1}
    again = take_one(there, alice)
    assert (again.order.seq, again.order.attempts) == (4, 2)


def test_the_lease_of_a_running_order_counts_no_more(queue: Room, bob: User) -> None:
    order(queue)
    leased = take_one(queue, bob)
    there = copy(queue)
    late = leases.Done(there.pk, 1, leased.token, bob.pk)
    assert [answer.code for answer in leases.settle([late]) if isinstance(answer, EventError)] == [
        "stale_lease"
    ]
    assert leased.token not in exported(queue).decode()


def test_a_dead_order_can_be_revived_where_it_came_in(queue: Room, bob: User) -> None:
    order(queue)
    kill(queue, bob)
    there = copy(queue)
    leases.revive(there.namespace, there.slug, 1, 0)
    assert states(there) == ["queued"]
    assert dead_orders(there) == []


# Once, and never by halves


def test_a_second_import_changes_nothing(room: Room, queue: Room, alice: User) -> None:
    say(room, alice)
    order(queue, 2)
    data = exported(room, queue)
    before = rows()
    assert [found.there for found in bring_in(data)] == [True, True]
    assert rows() == before


def test_a_room_that_went_on_since_has_it_all_still(room: Room, alice: User) -> None:
    say(room, alice)
    data = exported(room)
    say(room, alice)
    door.write(act("delete", room, alice, 1))
    before = rows()
    assert [found.there for found in bring_in(data)] == [True]
    assert rows() == before


def test_a_room_with_something_else_in_it_is_a_conflict(room: Room, alice: User) -> None:
    say(room, alice)
    data = exported(room)
    Message.objects.filter(room=room).update(client_id="another")
    before = rows()
    refusal = refused(data)
    assert refusal.code == "conflict"
    assert f"there is a {room} with something else in it" in refusal.message
    assert rows() == before


def test_a_room_that_is_behind_the_file_is_a_conflict(room: Room, alice: User) -> None:
    say(room, alice)
    lines = as_dicts(exported(room))
    lines[1]["head"] = 2
    lines.insert(3, {**lines[2], "seq": 2, "client_id": "two"})
    lines[-1]["lines"] += 1
    assert refused(as_lines(lines)).code == "conflict"


class Crash(Exception):
    pass


def cut_short(data: bytes, slices: int, monkeypatch: pytest.MonkeyPatch, rename: str = "copy") -> None:
    """An import that ends after so many slices of an entry each."""
    left = [slices]

    def work(self: Any, size: int, work: Any) -> None:
        if not left[0]:
            raise Crash
        left[0] -= 1
        work()

    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(importing._Pace, "work", work)
        patched.setattr(importing, "SMALLEST", 1)
        bring_in(data, rename)


def test_an_import_that_was_cut_short_is_unseen_and_goes_on(
    room: Room, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        say(room, alice)
    data, rooms = exported(room), Room.objects.exclude(kind="control").count()
    for _ in range(3):  # among the entries twice, and among the members
        cut_short(data, 2, monkeypatch)
        assert Room.objects.exclude(kind="control").count() == rooms
    (begun,) = archive.leftovers()
    assert begun.name == "chat/copy"
    bring_in(data, "copy")
    there = Room.objects.get(slug="copy")
    assert there.pk == begun.pk
    assert content(there) == content(room)
    assert archive.leftovers() == []


def test_what_someone_has_changed_of_an_unfinished_import_is_begun_anew(
    room: Room, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        say(room, alice)
    data = exported(room)
    cut_short(data, 2, monkeypatch)
    Message.objects.filter(room=archive.leftovers()[0], seq=2).update(client_id="another")
    bring_in(data, "copy")
    assert content(Room.objects.get(slug="copy")) == content(room)
    assert archive.leftovers() == []


def test_what_an_import_left_behind_can_be_removed(
    room: Room, queue: Room, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(room, alice, extra={"mentions": [{"id": bob.pk, "name": "bob"}]})
    order(queue, 3)
    before = rows()
    cut_short(exported(room), 2, monkeypatch)
    cut_short(exported(queue), 3, monkeypatch, "another")
    assert rows() != before
    for left in archive.leftovers():
        archive.remove(left)
    assert rows() == before


def test_two_imports_of_the_same_do_not_mix(room: Room, alice: User) -> None:
    say(room, alice)
    begun = staging.begin("key", "chat/copy")
    rest = staging.Rows(entries=[(1, alice.pk, "a", "message", None, 1, "", "", "", "", stored_now())])
    staging.add(begun.pk, 0, 1, rest)
    with pytest.raises(EventError, match="someone else is importing the same"):
        staging.add(begun.pk, 0, 1, rest)
    assert Message.objects.filter(room=begun).count() == 1


def test_what_the_log_already_has_is_refused_by_the_database_too(room: Room, alice: User) -> None:
    begun = staging.begin("key", "chat/copy")
    twice = [(seq, alice.pk, "a", "message", None, seq, "", "", "", "", stored_now()) for seq in (1, 2)]
    with pytest.raises(IntegrityError):
        staging.add(begun.pk, 0, 2, staging.Rows(entries=twice))
    assert not Message.objects.filter(room=begun).exists()


def stored_now() -> Any:
    from chat.delivery.clock import stored

    return stored(AT)


def test_a_room_made_meanwhile_is_a_conflict_and_stays(
    room: Room, alice: User, make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(room, alice)
    data = exported(room)
    cut_short(data, 0, monkeypatch)
    stream = io.BytesIO(data)
    found = archive.check(stream, rename="copy")
    made = make_room(slug="copy")
    with pytest.raises(EventError, match="there is a chat/copy meanwhile"):
        archive.import_room(stream, found[0], {})
    assert now(made).head == 0
    assert Room.objects.get(namespace="chat", slug="copy").pk == made.pk


def test_members_who_are_online_are_told(room: Room, alice: User, bob: User) -> None:
    from chat.models import Presence, Process

    process = Process.objects.create(id="p", started_at=AT, beat_at=AT)
    Presence.objects.create(user=bob, process=process)
    after = control_room().head
    copy(room)
    added = [data for data in controls()[after:] if data["act"] == "added"]
    assert added == [{"act": "added", "user": bob.pk, "namespace": "chat", "room": "copy"}]
    process.delete()


# People


def test_people_are_found_by_name_and_the_unknown_get_an_account_that_is_off(
    room: Room, alice: User, bob: User
) -> None:
    say(room, alice)
    say(room, bob)
    data = exported(room).replace(b'"alice"', b'"zoe"')
    bring_in(data, "copy", bob="alice")
    senders = (
        Message.objects.filter(room__slug="copy").order_by("seq").values_list("sender__username", flat=True)
    )
    assert list(senders) == ["zoe", "alice"]
    zoe = User.objects.get(username="zoe")
    assert not zoe.is_active
    assert not zoe.has_usable_password()
    assert Membership.objects.get(room__slug="copy", user=zoe).role == "owner"


def test_a_person_of_another_number_is_mentioned_still(room: Room, alice: User, bob: User) -> None:
    say(room, alice, extra={"mentions": [{"id": bob.pk, "name": "bob"}]})
    data = exported(room)
    assert str(bob.pk).encode() not in data.split(b'"mentions"')[1].split(b"]")[0]
    bring_in(data.replace(b'"bob"', b'"new"'), "copy")
    new = User.objects.get(username="new")
    assert [mention.user for mention in Mention.objects.filter(room__slug="copy")] == [new]
    assert entries(Room.objects.get(slug="copy"))[0].data["mentions"] == [{"id": new.pk, "name": "new"}]


def test_a_name_that_nobody_can_have_is_refused(room: Room, alice: User) -> None:
    say(room, alice)
    data = exported(room).replace(b'"alice"', b'"al\\nice"')
    assert "nobody can be called 'al\\nice' here" in refused(data, "copy").message
    assert archive.leftovers() == []


def test_an_import_is_in_the_audit_trail(room: Room) -> None:
    copy(room)
    entry = LogEntry.objects.latest("pk")
    assert entry.get_change_message() == "a room was imported room=copy namespace=/chat entries=0"


# Lines that won't do


def broken(there: Room, number: int, change: dict[str, Any]) -> bytes:
    lines = as_dicts(exported(there))
    lines[number - 1] = {
        key: value for key, value in {**lines[number - 1], **change}.items() if value is not ...
    }
    return as_lines(lines)


@pytest.mark.parametrize(
    ("number", "change", "says"),
    [
        (1, {"version": 2}, "line 1: `version`: this version reads 1, not 2"),
        (2, {"namespace": "_control"}, "line 2: `namespace`: expected `str` matching"),
        (2, {"room": "No Slug"}, "line 2: `room`: expected `str` matching"),
        (2, {"head": -1}, "line 2: `head`: expected `int` >= 0"),
        (2, {"first": 99}, "line 2: `first`: at most `head` + 1, 4"),
        (2, {"colour": "red"}, "line 2: object contains unknown field `colour`"),
        (3, {"seq": 2}, "line 3: `seq`: 1 comes next"),
        (3, {"seq": "1"}, "line 3: `seq`: expected `int`, got `str`"),
        (3, {"at": "yesterday"}, "line 3: `at`: invalid RFC3339"),
        (3, {"at": "2026-01-31T12:00:00"}, "line 3: `at`: expected `datetime` with a timezone"),
        (3, {"at": "0001-01-01T00:00:00+01:00"}, "line 3: a time that is none in UTC"),
        (3, {"from": ...}, "line 3: object missing required field `from`"),
        (3, {"from": ""}, "line 3: `from`: expected `str` of length >= 1"),
        (3, {"client_id": "x" * 65}, "line 3: `client_id`: expected `str` of length <= 64"),
        (3, {"kind": "control"}, "line 3: `kind`: invalid enum value 'control'"),
        (3, {"kind": "item"}, "line 3: `kind`: a room has no items"),
        (3, {"target": 1}, "line 3: `target`: which message"),
        (3, {"body": "\0"}, "line 3: `body`: a NUL can't be stored"),
        (3, {"extra": {"a": ["\0"]}}, "line 3: `extra.a.0`: a NUL"),
        (3, {"extra": {"html": "<script>"}}, "line 3: `extra`: can't bring a 'html'"),
        (3, {"extra": {"mentions": [7]}}, "line 3: `extra.mentions`: people are written as"),
        (3, {"order": {"visible_at": "2026-01-31T12:00:00Z", "changed_at": "2026-01-31T12:00:00Z"}},
         "line 3: `order`: every item has one"),
        (3, {"deleted": {"by": {"name": "alice"}, "at": "2026-01-31T12:00:00Z"}},
         "line 3: `deleted`: nothing may be left"),
        (4, {"client_id": "c1"}, "line 4: `client_id`: the same is in line 3 already"),
        (5, {"target": 3}, "line 5: `target`: of an entry before this one"),
        (5, {"extra": {}}, "line 5: `extra.emoji`: a text"),
        (5, {"extra": {"emoji": "👍", "on": 1}}, "line 5: `extra.on`: true or false"),
        (3, {"extra": {"reply_to": "one"}}, "line 3: `extra.reply_to`: the number of an entry"),
        (6, {"received": 4}, "line 6: `received`: is past the last entry, 3"),
        (6, {"read": 4}, "line 6: `read`: is past the last entry, 3"),
        (6, {"joined_at_seq": 4}, "line 6: `joined_at_seq`: is past the last entry, 3"),
        (6, {"acked": "2-9"}, "line 6: `acked`: ascending ranges"),
        (6, {"acked": "3,2"}, "line 6: `acked`: ascending ranges"),
        (6, {"acked": "x"}, "line 6: `acked`: ranges of entries"),
        (6, {"deliveries": {"9": 1}}, "line 6: `deliveries`: of entries that are open"),
        (7, {"name": "alice"}, "line 7: `name`: the same is in line 6 already"),
        (8, {"lines": 8}, "line 8: `lines`: 7 lines come before it, not 8"),
    ],
)  # fmt: skip
def test_a_broken_line_says_which_and_what_and_changes_nothing(
    room: Room, alice: User, number: int, change: dict[str, Any], says: str
) -> None:
    door.write(draft(room, alice, "one", client_id="c1"), draft(room, alice, "two", client_id="c2"))
    door.write(act("react", room, alice, 1))
    before, people = rows(), User.objects.count()
    refusal = refused(broken(room, number, change), "copy")
    assert says in refusal.message
    assert (refusal.code, refusal.more["line"]) == ("bad_data", number)
    assert rows() == before
    assert User.objects.count() == people


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:-1], "the file was cut off"),
        (lambda lines: lines[:2] + lines[3:], "line 3: after entry 0 of 1 comes entry 1"),
        (lambda lines: [*lines, lines[2]], "line 7: nothing may come after the `end`"),
        (lambda lines: lines[1:], "line 1: this is no export of rooms"),
        (lambda lines: [], "line 1: this is no export of rooms"),
        (lambda lines: [lines[0], *lines[2:]], "line 2: a `room` line comes first"),
        (lambda lines: [lines[0], *lines], "line 2: a second header"),
        (lambda lines: [lines[0], lines[1], lines[-1]], "line 3: chat/copy has 1 entries, and only 0 came"),
    ],
)
def test_lines_that_do_not_belong_together_are_refused(
    room: Room, alice: User, change: Any, says: str
) -> None:
    say(room, alice)
    assert says in refused(as_lines(change(as_dicts(exported(room)))), "copy").message


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"nonsense\n", "line 3: no JSON"),
        (b"\n", "line 3: no JSON"),
        (b"\xff\n", "line 3: no JSON"),
        (b'{"line":"entry","seq":' + b"[" * 100_000 + b"\n", "line 3: "),
        (b'{"line":"entry","body":"' + b"x" * 2**20 + b'"}\n', "line 3 is longer than 1048576 bytes"),
        (b'{"line":"token","token":"x"}\n', "line 3: `line`: invalid value 'token'"),
    ],
)
def test_what_is_no_line_at_all_is_refused(room: Room, alice: User, line: bytes, says: str) -> None:
    say(room, alice)
    lines = exported(room).splitlines(keepends=True)
    assert says in refused(b"".join([*lines[:2], line, *lines[3:]]), "copy").message


def test_a_new_name_is_for_a_file_with_one_room(room: Room, queue: Room) -> None:
    assert "there are several rooms" in refused(exported(room, queue), "copy").message


def test_an_item_must_be_json_and_have_its_order(queue: Room) -> None:
    door.write(item(queue, None, {"dish": "soup"}))
    lines = as_dicts(exported(queue))
    lines[2]["body"] = "soup"
    assert "line 3: `body`: must be JSON" in refused(as_lines(lines), "copy").message
    del lines[2]["order"]
    assert "line 3: `order`: every item has one" in refused(as_lines(lines), "copy").message


# Beside others


def test_an_export_shows_one_moment(room: Room, alice: User) -> None:
    for _ in range(3):
        say(room, alice)
    lines = archive.export([room])
    shown = next(lines) + next(lines)
    with others() as threads:
        threads.submit(say, room, alice).result()  # who doesn't wait for it
    shown += b"".join(lines)
    assert [line["seq"] for line in as_dicts(shown) if line["line"] == "entry"] == [1, 2, 3]


@pytest.mark.parametrize("beside", [True, False])
def test_slices_grow_and_shrink_with_the_time_they_take(
    beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, slept = [0.0], []
    monkeypatch.setattr(importing.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(importing.time, "sleep", slept.append)
    monkeypatch.setattr(importing._Pace, "_holds_up", lambda self, now: beside)
    pace = importing._Pace()
    longest = pace.BESIDE if beside else pace.ALONE

    def times_of_slices(each: float) -> list[float]:
        took = []
        for _ in range(10):
            took.append(pace.size * each)
            pace.work(pace.size, lambda: clock.__setitem__(0, clock[0] + took[-1]))
        return took

    assert times_of_slices(0.00005)[-1] == pytest.approx(longest, rel=0.1)
    assert times_of_slices(0.0005)[-1] == pytest.approx(longest, rel=0.1)
    assert bool(slept) == beside  # as long as each took, for others
