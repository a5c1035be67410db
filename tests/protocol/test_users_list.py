"""`/users`: the list of people."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from chat.errors import Close
from tests.conftest import Connect
from tests.support import Client, Person, Server
from tests.support.client import Refused
from tests.support.server import fresh

pytestmark = pytest.mark.each_server


@pytest.fixture
async def reader(connect: Connect) -> Client:
    return await connect("reader", namespace="users")


async def listed(client: Client, **data: Any) -> list[str]:
    """Names, over all pages."""
    names: list[str] = []
    answer: dict[str, Any] = {"more": True, "next": ""}
    while answer["more"]:
        answer = await client.call("user:list", {**data, "after": answer["next"]})
        names += [user["name"] for user in answer["users"]]
    return names


def some_people(server: Server, *endings: str) -> list[Person]:
    """New people whose names have something in common that no other name has."""
    stem = fresh("p")
    return [server.django(make_named, f"{stem}{ending}") for ending in endings]


def make_named(name: str) -> Person:
    user = get_user_model().objects.create(username=name, password="!")
    return Person(user.pk, name, "")


def change(person: Person, **fields: Any) -> None:
    get_user_model().objects.filter(pk=person.id).update(**fields)


async def test_the_list_has_everyone_by_name(server: Server, reader: Client) -> None:
    people = some_people(server, "c", "a", "b")
    stem = people[0].name[:-1]
    answer = await reader.call("user:list", {"query": stem})
    assert answer == {
        "users": [
            {"id": person.id, "name": person.name, "online": False, "last_seen": None}
            for person in sorted(people, key=lambda person: person.name)
        ],
        "more": False,
    }


async def test_the_list_comes_in_pages(server: Server, reader: Client) -> None:
    people = some_people(server, *(f"{number:03}" for number in range(120)))
    stem = people[0].name[:-3]
    first = await reader.call("user:list", {"query": stem, "limit": 7})
    assert [user["name"] for user in first["users"]] == [person.name for person in people[:7]]
    assert first["more"] and first["next"] == people[6].name
    assert len((await reader.call("user:list", {"query": stem}))["users"]) == 50
    assert len((await reader.call("user:list", {"query": stem, "limit": 1000}))["users"]) == 100
    assert await listed(reader, query=stem, limit=50) == [person.name for person in people]


async def test_a_page_begins_after_a_name_also_of_someone_who_has_gone(
    server: Server, reader: Client
) -> None:
    people = some_people(server, "a", "b", "c", "d")
    stem = people[0].name[:-1]
    first = await reader.call("user:list", {"query": stem, "limit": 2})
    server.django(lambda: get_user_model().objects.get(pk=people[1].id).delete())
    rest = await reader.call("user:list", {"query": stem, "after": first["next"]})
    assert [user["id"] for user in rest["users"]] == [people[2].id, people[3].id]


async def test_a_query_finds_a_part_of_the_name_in_capitals_or_not(server: Server, reader: Client) -> None:
    (person,) = some_people(server, "MiddleName")
    for query in ("middlename", "MIDDLEN", "dleNa"):
        assert person.name in await listed(reader, query=query)
    assert await listed(reader, query=f"{person.name}x") == []
    assert await listed(reader, query="x" * 60_000) == []


async def test_what_a_pattern_would_mean_finds_only_itself(server: Server, reader: Client) -> None:
    special, plain = some_people(server, "a%_\\b", "axxb")
    stem = plain.name[:-4]
    for query in (f"{stem}a%", "%_\\b", "_\\", "'a%_\\b".strip("'")):
        assert await listed(reader, query=query) == [special.name]
    assert await listed(reader, query=f"{stem}%b") == []


async def test_data_that_no_list_can_have_is_refused_in_words(reader: Client) -> None:
    for data, field in (
        ({"query": "a\0"}, "query"),
        ({"after": "\0"}, "after"),
        ({"query": 7}, "query"),
        ({"after": 7}, "after"),
        ({"limit": 0}, "limit"),
        ({"limit": "9"}, "limit"),
    ):
        with pytest.raises(Refused) as refused:
            await reader.call("user:list", data)
        assert (refused.value.code, refused.value.error["field"]) == ("bad_data", field)


async def test_people_who_are_switched_off_and_the_system_are_not_listed(
    server: Server, reader: Client
) -> None:
    off, on = some_people(server, "off", "on")
    server.django(change, off, is_active=False)
    assert await listed(reader, query=on.name[:-2]) == [on.name]
    assert "system" not in await listed(reader, query="syste")


async def test_who_is_online_is_seen_now_and_who_went_was_seen_then(
    server: Server, reader: Client, connect: Connect
) -> None:
    alice = await connect("alice")
    await reader.expect("user:connected", user={"id": alice.id, "name": alice.name})
    (shown,) = (await reader.call("user:list", {"query": alice.name}))["users"]
    assert shown["online"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["last_seen"])
    await alice.close()
    await reader.expect("user:disconnected", user={"id": alice.person.id, "name": alice.person.name})
    (gone,) = (await reader.call("user:list", {"query": alice.person.name}))["users"]
    assert not gone["online"]
    assert gone["last_seen"] >= shown["last_seen"]


async def test_nobody_sees_the_list_without_signing_in(connect: Connect) -> None:
    stranger = await connect(by=None, namespace="users")
    await stranger.expect_error("unauthenticated")
    assert await stranger.closed() == Close.UNAUTHENTICATED


async def test_rooms_here_have_nothing_to_do_with_those_of_the_chat(
    server: Server, reader: Client, connect: Connect
) -> None:
    room = server.room()
    alice = await connect("alice")
    await alice.join(room)
    assert await reader.call("join", {"room": room}) == {"room": room}
    await alice.say(room, "hello")
    assert await reader.call("leave", {"room": room}) == {"room": room}
    assert reader.log == {}
