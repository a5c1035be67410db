"""What an account may do: whether it is in use, of the staff, a superuser's."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from chat.errors import EventError

from .acts import Act, acting, check_not_last

#: What each right is called in the log, given and taken.
SAID = {
    "is_active": ("an account was switched on", "an account was switched off"),
    "is_staff": ("a user was made staff", "a user is staff no more"),
    "is_superuser": ("a user was made a superuser", "a user is a superuser no more"),
}


def set_rights(by: int, user: int | str, **rights: bool) -> User:
    """Give or take `is_active`, `is_staff` or `is_superuser`; their sockets are looked at anew.

    Only superusers make staff and superusers, or change one of the staff; the last superuser
    stays one.
    """
    with acting(by) as act:
        person = act.target(user)
        changes = check_rights(act, person, rights)
        for right, value in changes.items():
            setattr(person, right, value)
        if changes:
            person.save(update_fields=list(changes))
        for right, value in changes.items():
            act.record(SAID[right][not value], person)
    return person


def check_rights(act: Act, person: User, rights: dict[str, Any]) -> dict[str, bool]:
    """The rights that would change, where this is allowed. Raises `forbidden`."""
    changes = {right: value for right, value in rights.items() if getattr(person, right) != value}
    check_manages(act.by, person)
    if changes.keys() - {"is_active"} and not act.by.is_superuser:
        raise EventError("forbidden", "only a superuser makes staff and superusers")
    if not all(changes.values()):
        check_not_last(person)
    return changes


def check_manages(by: User, person: User) -> None:
    """An account of the staff is a superuser's to change: with its password or its address one
    could act in its name."""
    if (person.is_staff or person.is_superuser) and not by.is_superuser and by.pk != person.pk:
        raise EventError("forbidden", f"{person.username} is one of the staff: only a superuser may do this")
