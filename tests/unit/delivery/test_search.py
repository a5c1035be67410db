"""Search: which messages have the words, for whom, and that the index keeps up with the log."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import connection, transaction

from chat.delivery import door, retention, search
from chat.errors import EventError
from chat.models import Ban, Membership, Message, Room
from chat.services import erasure, rooms
from chat.services.search import anywhere, parse
from chat.services.search import search as look_for

from .conftest import MakeRoom
from .support import act, draft, on_sqlite, say, send


def found(user: User, query: str, **more: Any) -> list[str]:
    """The bodies of what a person finds, newest first."""
    return [message["data"]["body"] for message in answer(user, query, **more)["messages"]]


def answer(user: User, query: str, **more: Any) -> dict[str, Any]:
    return look_for("chat", user.pk, query, **more)


def refused(user: User, query: str, **more: Any) -> EventError:
    with pytest.raises(EventError) as refusal:
        answer(user, query, **more)
    return refusal.value


# Words


BODY = "The Kettle boils! Café https://example.org/tea snake_case well-known don't 3.14 Привет"
FOUND_BY = (
    *("kettle", "KETTLE", "the kettle", "kettle the", "kettl", "kettle boil", "Привет", "привет"),
    *('"the kettle"', '"the kettl', '"boils" cafe', "café", "cafe\u0301", "CAFÉ", "example", "example.org"),
    *("example.org/tea", "snake", "snake_case", "well-known", "known", "don't", "3.14", "14"),
)
NOT_FOUND_BY = (
    *("kettle pot", "ettle", "boil kettle", '"kettle the"', '"the kettl"', "example.com", "дела"),
    *("kettle org tea pots", '"snake known"'),
)


def test_a_message_is_found_by_all_of_its_words_and_the_beginning_of_the_last(
    room: Room, alice: User
) -> None:
    say(room, alice, BODY)
    assert [query for query in FOUND_BY if found(alice, query) != [BODY]] == []
    assert [query for query in NOT_FOUND_BY if found(alice, query)] == []


ODD = (
    *("tea OR nothing", "tea NOT room_id", "tea* :* & | ! <-> ( ) ' \\", "body : tea", "{body} : tea"),
    *("tea NEAR(5)", "^tea", "tea +milk", "tea -milk", '"" tea', "tea \x00", "tea\u2028;--", "%s %(tea)s"),
    *("room 1", '"room 1"', "tea " * 50, "'" * 197 + "tea", "x" * 200, "🫖 tea", "ⅷ ² ½ ﬁ tea", "𐐀 ٣ 茶"),
)


def test_odd_words_are_words_and_never_an_error(room: Room, alice: User) -> None:
    say(room, alice, "some tea")
    assert [odd for odd in ODD if found(alice, odd) not in ([], ["some tea"])] == []


@pytest.mark.parametrize("empty", ["", " ", '""', "🫖 !?", "\x00", "_", "*", "\u0301"])
def test_a_query_without_a_letter_is_refused(alice: User, empty: str) -> None:
    refusal = refused(alice, empty)
    assert (refusal.code, refusal.more["field"]) == ("bad_data", "query")


def test_a_query_that_is_too_long_is_refused(alice: User) -> None:
    assert "at most 200" in refused(alice, "tea " * 2500).message


def test_one_letter_is_a_word_and_not_the_beginning_of_many(room: Room, alice: User) -> None:
    say(room, alice, "team a")
    assert found(alice, "a") == ["team a"] and found(alice, "t") == []


def test_a_body_of_one_endless_word_is_stored(room: Room, alice: User) -> None:
    say(room, alice, "x" * 16_384)
    say(room, alice, "é" * 8192 + "\x01 tea")
    assert len(found(alice, "tea")) == 1


# What stands


def test_an_edited_message_is_found_by_what_it_says_now(room: Room, alice: User) -> None:
    seq = say(room, alice, "one kettle")
    door.write(act("edit", room, alice, seq, "two pots"))
    assert found(alice, "pots") == ["two pots"] and found(alice, "kettle") == []
    door.write(act("edit", room, alice, seq, "three cups"))
    (message,) = answer(alice, "cups")["messages"]
    assert (message["seq"], message["event"], message["room"]) == (seq, "message", room.slug)
    assert message["data"]["edited_at"] and found(alice, "pots") == []


def test_a_deleted_message_is_gone_with_the_transaction(room: Room, alice: User) -> None:
    seq = say(room, alice, "a secret")
    door.write(act("edit", room, alice, seq, "a secret still"))
    with pytest.raises(RuntimeError), transaction.atomic():
        door.write(act("delete", room, alice, seq))
        assert found(alice, "secret") == [] and not kept(room)
        raise RuntimeError
    assert found(alice, "secret") == ["a secret still"]
    door.write(act("delete", room, alice, seq))
    assert found(alice, "secret") == [] and not kept(room)


def test_a_message_that_is_deleted_in_the_batch_that_stores_it_is_not_found(room: Room, alice: User) -> None:
    send(draft(room, alice, "a secret"), act("delete", room, alice, 1), draft(room, alice, "no secret"))
    assert found(alice, "secret") in (["no secret"], ["no secret", "a secret"])
    assert len(kept(room)) == len(found(alice, "secret"))


def test_what_retention_takes_is_not_found(room: Room, alice: User) -> None:
    for number in range(4):
        say(room, alice, f"tea number {number}")
    door.write(act("edit", room, alice, 1, "tea edited"))
    Room.objects.filter(pk=room.pk).update(retain_entries=2)
    Membership.objects.filter(room=room).update(received=5)
    list(retention.trim(room.pk))
    assert found(alice, "tea") == ["tea number 3"]
    assert len(kept(room)) <= 2


def test_what_is_erased_with_a_person_is_not_found(room: Room, alice: User, bob: User) -> None:
    root = User.objects.create(username="root", is_staff=True, is_superuser=True)
    seq = say(room, bob, "tea of mine")
    door.write(act("edit", room, bob, seq, "tea of mine, edited"))
    say(room, alice, "tea")
    erasure.delete_person(root.pk, bob.pk, erase=True)
    assert found(alice, "tea") == ["tea"] and len(kept(room)) == 1


def test_only_messages_are_found(room: Room, alice: User) -> None:
    seq = say(room, alice, "tea")
    door.write(act("react", room, alice, seq))
    rooms.update("chat", room.slug, alice.pk, topic="tea")
    assert found(alice, "tea") == ["tea"]


def test_rows_that_other_hands_put_in_or_took_away_break_nothing(room: Room, alice: User) -> None:
    say(room, alice, "tea")
    row = Message.objects.get(room=room)
    row.pk, row.seq, row.client_id = None, 2, "other"
    row.save()
    Message.objects.filter(room=room).update(body="coffee")
    Message.objects.filter(room=room).delete()
    say(room, alice, "more tea")
    assert found(alice, "coffee") == [] and len(kept(room)) == 1


def kept(room: Room) -> list[int]:
    """The entries of a room that the index has, whatever they say."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                f"SELECT rowid FROM {search.INDEX} WHERE {search.INDEX} MATCH 'room_id : {room.pk}'"
            )
        else:
            cursor.execute(f"SELECT id FROM chat_message WHERE room_id = {room.pk} AND {search.SEARCHED}")
        return [row[0] for row in cursor.fetchall()]


# Who finds what


def test_people_find_what_is_in_their_rooms_alone(
    make_room: MakeRoom, alice: User, bob: User, charlie: User
) -> None:
    hers, both = make_room(alice, private=True), make_room(alice, bob)
    say(hers, alice, "tea for one")
    say(both, alice, "tea for two")
    say(Room.objects.create(namespace="other", slug=both.slug), None, "tea elsewhere")
    assert found(alice, "tea") == ["tea for two", "tea for one"]
    assert found(bob, "tea") == ["tea for two"]
    assert found(charlie, "tea") == []


def test_a_public_room_is_searched_by_who_may_read_it_and_a_private_one_is_absent(
    make_room: MakeRoom, alice: User, charlie: User
) -> None:
    public, private = make_room(alice, slug="public"), make_room(alice, slug="private", private=True)
    for each in (public, private):
        say(each, alice, "tea")
    assert found(charlie, "tea", room="public") == ["tea"]
    hidden, absent = refused(charlie, "tea", room="private"), refused(charlie, "tea", room="absent")
    assert hidden.code == "not_found"
    assert str(hidden).replace("private", "absent") == str(absent)


def test_who_is_banned_finds_nothing(make_room: MakeRoom, alice: User, bob: User) -> None:
    room = make_room(slug="public")
    say(room, alice, "tea")
    Ban.objects.create(room=room, user=bob, reason="spam")
    assert found(bob, "tea") == []
    assert refused(bob, "tea", room="public").code == "banned"


def test_nobody_finds_what_was_said_before_they_joined_where_the_room_says_so(
    make_room: MakeRoom, alice: User, charlie: User
) -> None:
    room = make_room(slug="late", history_from_join=True)
    seq = say(room, alice, "tea before")
    assert found(charlie, "tea", room="late") == []
    rooms.take_seat("chat", "late", charlie.pk)
    door.write(act("edit", room, alice, seq, "tea before, edited"))
    say(room, alice, "tea after")
    assert found(charlie, "tea") == found(charlie, "tea", room="late") == ["tea after"]
    assert len(found(alice, "tea")) == 2


def test_a_closed_room_is_found_by_its_members(make_room: MakeRoom, alice: User, bob: User) -> None:
    room = make_room(slug="shut")
    say(room, alice, "tea")
    rooms.close(room)
    assert found(bob, "tea") == ["tea"]


def test_the_staff_find_what_is_in_every_room_message_by_message(
    make_room: MakeRoom, alice: User, bob: User
) -> None:
    late = make_room(alice, slug="late", history_from_join=True)
    seq = say(late, alice, "coffee")
    say(make_room(bob, slug="his", private=True), bob, "tea")
    door.write(act("edit", late, alice, seq, "late tea"))
    found = [Message.objects.get(pk=pk).body for pk in anywhere("tea")]
    assert found == ["coffee", "tea"], "the message, whatever it said first"
    assert len(anywhere("tea", limit=1)) == 1


# Pages


@pytest.fixture
def many(make_room: MakeRoom, alice: User) -> list[str]:
    """Bodies in two rooms by turns, newest first; every third was edited last of all."""
    here = [make_room(slug="one"), make_room(slug="two")]
    bodies, edited = [], []
    for number in range(24):
        room = here[number % 2]
        seq = say(room, alice, f"tea {number}")
        if number % 3:
            bodies.append(f"tea {number}")
        else:
            edited.append((room, seq, f"tea {number} edited"))
    for room, seq, body in edited:
        door.write(act("edit", room, alice, seq, body))
        bodies.append(body)
    return bodies[::-1]


@pytest.mark.parametrize("few", [1, 7, 1000])
def test_paging_reaches_every_hit_once(
    many: list[str], alice: User, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few the database looks at in one go."""
    monkeypatch.setattr(search, "SPAN", few)
    monkeypatch.setattr(search, "AT_ONCE", few)
    seen: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = answer(alice, "tea", limit=5, **more)
        seen += [message["data"]["body"] for message in page["messages"]]
        if not page["more"]:
            break
        more = {"before": page["next"]}
    assert seen == many


def test_a_page_stops_where_a_frame_would_be_full(room: Room, alice: User) -> None:
    for number in range(30):
        say(room, alice, f"tea {number} " + "x" * 16_000)
    first = answer(alice, "tea")
    assert first["more"] and 10 <= len(first["messages"]) < 13
    second = answer(alice, "tea", before=first["next"])
    assert second["messages"][0]["seq"] == first["messages"][-1]["seq"] - 1


@pytest.mark.parametrize(
    "before",
    ["", "general", "general:", "general:99", "absent:1", "hers:1", f"general:{2**70}", "general:1\x00"],
)
def test_a_place_that_no_answer_gave_is_refused(
    room: Room, make_room: MakeRoom, alice: User, bob: User, before: str
) -> None:
    say(room, alice, "tea")
    say(make_room(alice, slug="hers", private=True), alice, "tea")
    refusal = refused(bob, "tea", before=before)
    assert (refusal.code, refusal.more["field"]) == ("bad_data", "before")


def test_hits_look_as_in_history(room: Room, alice: User, bob: User) -> None:
    seq = say(room, bob, "**tea**", html="<p><strong>tea</strong></p>")
    door.write(act("react", room, alice, seq))
    (message,) = answer(alice, "tea")["messages"]
    assert message["from"] == {"id": bob.pk, "name": "bob"} and message["room"] == room.slug
    assert message["data"]["html"] == "<p><strong>tea</strong></p>"
    assert message["data"]["reactions"][0]["mine"]


# The index


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("tea", [(("tea",), True)]),
        ("some tea ", [(("some",), False), (("tea",), True)]),
        ('"some tea"', [(("some", "tea"), False)]),
        ('"some tea', [(("some", "tea"), True)]),
        ('"green tea" pot', [(("green", "tea"), False), (("pot",), True)]),
        ("a.b -c", [(("a", "b"), False), (("c",), False)]),
    ],
)
def test_a_query_is_read_as_words_and_phrases(query: str, terms: list[tuple[tuple[str, ...], bool]]) -> None:
    assert [(term.words, term.prefix) for term in parse(query)] == terms


@on_sqlite
def test_a_sqlite_without_fts5_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MODULE", "fts99")
    monkeypatch.setattr(search, "INDEX", "another")
    with (
        pytest.raises(CommandError, match="^search needs FTS5[^\n]+$"),
        connection.schema_editor() as editor,
    ):
        search.create(editor)


def test_an_index_that_is_made_later_holds_what_there_was(room: Room, alice: User) -> None:
    say(room, alice, "tea")
    door.write(act("edit", room, alice, say(room, alice, "coffee"), "more tea"))
    with connection.schema_editor() as editor:
        search.drop(editor)
    with connection.schema_editor() as editor:
        search.create(editor)
    assert found(alice, "tea") == ["more tea", "tea"]
    assert len(kept(room)) == 3
