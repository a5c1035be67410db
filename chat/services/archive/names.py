"""People by name, in place of the numbers that they have in one database alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

from chat.services.paging import in_slices

#: Where an entry's `extra` names people: one, or several.
ONE, SEVERAL = ("user", "owner", "by"), ("mentions",)


class Names:
    """The names of people by their ids, read once."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def load(self, ids: Iterable[int]) -> None:
        missing = list(set(ids) - self._known.keys())
        for pk, name in in_slices(missing, _names):
            self._known[pk] = name

    def of(self, pk: int) -> str | None:
        return self._known.get(pk)


def _names(ids: list[int]) -> list[tuple[int, str]]:
    return list(User.objects.filter(pk__in=ids).values_list("pk", "username"))


def ids(names: Iterable[str]) -> dict[str, int]:
    """By name; who has no account is left out."""
    return dict(in_slices(list(names), _ids))


def _ids(names: list[str]) -> list[tuple[str, int]]:
    return list(User.objects.filter(username__in=names).values_list("username", "pk"))


def make_people(names: list[str]) -> None:
    """Accounts that nobody can sign in with until the staff say so."""
    people = [User(username=name, is_active=False, password=make_password(None)) for name in names]
    User.objects.bulk_create(people, batch_size=100, ignore_conflicts=True)


def in_extra(
    extra: dict[str, Any], is_one: Callable[[Any], bool], change: Callable[[Any], Any]
) -> dict[str, Any]:
    """The same with everyone whom it names changed; raises what `change` raises."""
    changed = {key: change(extra[key]) for key in ONE if is_one(extra.get(key))}
    for key in SEVERAL:
        if isinstance(several := extra.get(key), list):
            changed[key] = [change(each) if is_one(each) else each for each in several]
    return {**extra, **changed} if changed else extra


def named_in(extra: dict[str, Any], is_one: Callable[[Any], bool]) -> list[Any]:
    """Everyone whom it names."""
    found: list[Any] = []
    in_extra(extra, is_one, found.append)
    return found


def has_id(value: Any) -> bool:
    """A person as a log shows one."""
    return isinstance(value, dict) and value.keys() == {"id", "name"} and isinstance(value["id"], int)


def has_name(value: Any) -> bool:
    """A person as an archive shows one."""
    return isinstance(value, dict) and (value.keys() == {"name"} or value.keys() == {"name", "account"})
