"""Django's signals that the chat listens to; connected by `apps.py`.

A right that is lost through `save()`, `delete()` or Django's auth functions acts at once, in
every process: an entry of the control log, in the same transaction, asks them to look again.
The words that a room filters act so, too. (`QuerySet.update()` and raw SQL send no signal; the
hub finds those within a minute.)
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.models import Session
from django.db.backends.signals import connection_created
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from .delivery import door, durability
from .models import Ban, Login, Membership, Room, Token
from .services import people, presence


def connect() -> None:
    connection_created.connect(durability.make_durable, dispatch_uid="chat.durability")
    user_logged_in.connect(_logged_in, dispatch_uid="chat.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="chat.logged_out")
    for signal, sender, receiver in (
        (pre_save, get_user_model(), _person_changes),
        (pre_delete, get_user_model(), _hold_control),
        (pre_delete, get_user_model(), _person_leaves),
        (pre_save, Token, _hold_control),
        (pre_delete, Token, _hold_control),
        (pre_save, Ban, _hold_control),
        (pre_delete, Membership, _hold_control),
        (pre_delete, Session, _hold_control),
        (pre_save, Room, _room_changes),
        (post_save, get_user_model(), _person_saved),
        (post_delete, get_user_model(), _person_deleted),
        (post_save, Token, _access_changed),
        (post_delete, Token, _access_changed),
        (post_save, Ban, _banned),
        (post_delete, Membership, _unseated),
        (post_delete, Session, _session_deleted),
        (post_save, Room, _room_saved),
    ):
        signal.connect(receiver, sender=sender, dispatch_uid=f"chat.{receiver.__name__}.{id(signal)}")


def _hold_control(raw: bool = False, **kwargs: Any) -> None:
    """What follows writes to the control log, whose row is locked before any other."""
    if not raw:
        door.hold_control()


def _person_changes(
    instance: Any, update_fields: frozenset[str] | None, raw: bool = False, **kwargs: Any
) -> None:
    if instance.pk is not None and update_fields != {"last_login"}:
        _hold_control(raw)


def _room_changes(
    instance: Any, update_fields: frozenset[str] | None, raw: bool = False, **kwargs: Any
) -> None:
    if instance.pk is not None and _has_words(update_fields):
        _hold_control(raw)


def _has_words(update_fields: frozenset[str] | None) -> bool:
    return update_fields is None or bool(update_fields & {"filtered_words", "filter_action"})


def _logged_in(request: Any, user: Any, **kwargs: Any) -> None:
    if (session := getattr(request, "session", None)) is not None and session.session_key:
        people.remember_login(user.pk, session.session_key)


def _logged_out(request: Any, user: Any, **kwargs: Any) -> None:
    if user is not None and user.pk is not None:
        Login.objects.filter(session_key=request.session.session_key).delete()
        door.control("recheck", users=[user.pk])


def _person_saved(
    instance: Any, created: bool, update_fields: frozenset[str] | None, raw: bool = False, **kwargs: Any
) -> None:
    """A new password, a lost role, an account switched off. A mere login changes no right."""
    if not created and not raw and update_fields != {"last_login"}:
        door.control("recheck", users=[instance.pk])


def _person_leaves(instance: Any, **kwargs: Any) -> None:
    presence.forget(instance)


def _person_deleted(instance: Any, **kwargs: Any) -> None:
    door.control("recheck", users=[instance.pk])


def _access_changed(instance: Token, created: bool = False, raw: bool = False, **kwargs: Any) -> None:
    if not created and not raw:
        door.control("recheck", users=[instance.user_id])


def _banned(instance: Ban, raw: bool = False, **kwargs: Any) -> None:
    if raw:
        return
    if instance.room_id is None:
        door.control("recheck", users=[instance.user_id])
    else:
        door.control("reseat", room=instance.room_id)


def _unseated(instance: Membership, **kwargs: Any) -> None:
    door.control("reseat", room=instance.room_id)


def _session_deleted(instance: Session, **kwargs: Any) -> None:
    """Ended by the admin or by an expiry. A session that only changed its key (a new password)
    has its Login moved along in the same transaction, and passes."""
    logins = Login.objects.filter(session_key=instance.session_key)
    if users := list(logins.values_list("user_id", flat=True)):
        door.control("recheck", users=users)


def _room_saved(
    instance: Room, created: bool, update_fields: frozenset[str] | None, raw: bool = False, **kwargs: Any
) -> None:
    if not created and not raw and _has_words(update_fields):
        door.control("rules")
