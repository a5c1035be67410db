"""The console's page: who sees it, and what it carries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.views.console import PARTS
from chat.views.console_words import CONSOLE
from chat.views.shell import modules
from chat.views.words import SHELL
from tests.support.pages import browser, check_nothing_inline, page_data

pytestmark = pytest.mark.django_db

ADDRESSES = ["/console/", *(f"/console/{slug}/" for slug, _, _ in PARTS)]
SCRIPTS = Path(__file__).parent.parent / "chat/static/chat/js/console"


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", is_staff=True)


@pytest.mark.parametrize("path", ADDRESSES)
def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("path", ADDRESSES)
def test_for_whoever_is_not_of_the_staff_there_is_no_console(path: str) -> None:
    client = browser(User.objects.create_user("bob"))
    assert client.get(path).status_code == 404
    assert b"/console/" not in client.get("/").content


def test_the_staff_find_each_part_at_its_own_address(alice: User) -> None:
    client = browser(alice)
    assert b'href="/console/"' in client.get("/").content
    for slug, _, _ in PARTS:
        html = client.get(f"/console/{slug}/").content
        assert page_data(html)["part"] == slug
        found = re.findall(r'class="part" data-part="(\w+)"([^>]*)>', html.decode())
        assert [name for name, rest in found if not rest.endswith(" hidden")] == [slug]
    assert client.get("/console/absent/").status_code == 404


def test_nothing_in_the_page_is_inline(alice: User) -> None:
    check_nothing_inline(browser(alice).get("/console/"))


def test_every_word_that_the_scripts_say_is_there_and_none_besides() -> None:
    said = {name for name in modules("chat/js/console/main.js") if "/console/" in name}
    assert {file.name for file in SCRIPTS.glob("*.js")} == {Path(name).name for name in said} | {"main.js"}
    source = "\n".join(file.read_text() for file in SCRIPTS.glob("*.js"))
    keys = set(re.findall(r'(?<!#)\b(?:say|count|countOf)\("(\w+)"', source))
    assert keys <= CONSOLE.keys()
    whole = {f"{key}_one" for key in CONSOLE} | SHELL.keys() | keys
    words = set(re.findall(r'"(\w+)"', source))
    built = re.compile(r"(report|reason)_\w+|\w+_title|waiting(_one)?")
    assert {key for key in CONSOLE if key not in whole | words and not built.fullmatch(key)} == set()
