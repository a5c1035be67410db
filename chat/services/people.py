"""Who is speaking, and what they may do.

Claims are read in lists, a few queries for each list however long: after a restart
hundreds of sockets come back within one second.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from chat.delivery.entries import SYSTEM, rfc3339
from chat.errors import EventError
from chat.models import Ban, Login, Token

from . import tokens
from .paging import in_slices


@dataclass(frozen=True, slots=True)
class Claim:
    """What a socket brought along: the raw token, or the key of its browser's session."""

    kind: Literal["token", "session"]
    value: str


@dataclass(frozen=True, slots=True)
class Rights:
    """Who a claim was found to be. Either `token` or `login` is the row that says so."""

    user: int
    name: str
    staff: bool
    token: int | None = None
    login: int | None = None


def read_rights(claims: list[Claim]) -> list[Rights | EventError]:
    """The rights behind each claim, in the order of the claims.

    In place of rights: `unauthenticated` (unknown, expired, revoked, an inactive person)
    or `banned` (from the site, with `reason` and `until` where there are any).
    """
    return in_slices(claims, _read_rights)


def recheck(held: list[Rights]) -> list[Rights | EventError]:
    """The rights that open sockets have now: `session_ended` or `banned` where they are lost."""
    return in_slices(held, _recheck)


def _read_rights(claims: list[Claim]) -> list[Rights | EventError]:
    digests = {claim: tokens.digest(claim.value) for claim in claims if claim.kind == "token"}
    found = _tokens(Q(digest__in=digests.values()), "digest")
    sessions = _session_users([claim.value for claim in claims if claim.kind == "session"])
    logins = _logins({key: user.pk for key, user in sessions.items()})
    bans = site_bans([token.user_id for token in found.values()] + [user.pk for user in sessions.values()])
    refusal = EventError("unauthenticated", "sign in to come in")

    def rights(claim: Claim) -> Rights | EventError:
        if claim.kind == "token":
            token = found.get(digests[claim])
            return _rights(token.user, bans, token=token.pk) if token else refusal
        user = sessions.get(claim.value)
        return _rights(user, bans, login=logins[claim.value]) if user else refusal

    return [rights(claim) for claim in claims]


def _recheck(held: list[Rights]) -> list[Rights | EventError]:
    found = _tokens(Q(pk__in=[rights.token for rights in held if rights.token is not None]), "pk")
    keys = dict(
        Login.objects.filter(
            pk__in=[rights.login for rights in held if rights.login is not None]
        ).values_list("pk", "session_key")
    )
    sessions = _session_users(keys.values())
    bans = site_bans(rights.user for rights in held)
    refusal = EventError("session_ended", "your session has ended; sign in again")

    def rights_now(old: Rights) -> Rights | EventError:
        if old.token is not None:
            token = found.get(old.token)
            user = token.user if token else None
        else:
            user = sessions.get(keys.get(old.login or 0, ""))
        if user is None or user.pk != old.user:
            return refusal
        return _rights(user, bans, token=old.token, login=old.login)

    return [rights_now(old) for old in held]


def _rights(
    user: User, bans: dict[int, Ban], *, token: int | None = None, login: int | None = None
) -> Rights | EventError:
    if ban := bans.get(user.pk):
        return banned(ban)
    return Rights(user.pk, user.get_username(), user.is_staff, token, login)


def _tokens(which: Q, key: str) -> dict[Any, Token]:
    """Tokens that are not revoked, of people who are active, by `key`."""
    rows = Token.objects.filter(which, revoked_at=None, user__is_active=True).select_related("user")
    return {getattr(row, key): row for row in rows}


def _session_users(keys: Iterable[str]) -> dict[str, User]:
    """The person signed in with each session, as `django.contrib.auth.get_user` tells it."""
    # What no session was ever called is not asked for: PostgreSQL fails the whole query, and
    # with it everybody's claims, for one NUL.
    wanted = [key for key in keys if key.isascii() and key.isalnum()]
    rows = Session.objects.filter(session_key__in=wanted, expire_date__gt=timezone.now())
    sessions = {row.session_key: row.get_decoded() for row in rows}
    ids = {key: _user_id(data) for key, data in sessions.items()}
    users = User.objects.filter(is_active=True).in_bulk({pk for pk in ids.values() if pk is not None})
    return {
        key: users[pk]
        for key, pk in ids.items()
        if pk in users and _is_signed(users[pk], sessions[key].get(HASH_SESSION_KEY))
    }


def _user_id(session: dict[str, Any]) -> int | None:
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return None
    try:
        return User._meta.pk.to_python(session[SESSION_KEY])
    except Exception:  # a missing or foreign value: nobody is signed in
        return None


def _is_signed(user: User, signature: str | None) -> bool:
    """False once the password was changed; fallback keys allow a change of SECRET_KEY."""
    if not signature:
        return False
    good = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(signature, each) for each in good)


def _logins(users: dict[str, int]) -> dict[str, int]:
    """The Login row of each session. One made outside of Django's login gets its row here."""
    found = _login_ids(users)
    missing = [key for key in users if key not in found]
    if missing:
        rows = [Login(user_id=users[key], session_key=key) for key in missing]
        Login.objects.bulk_create(rows, ignore_conflicts=True)
        found |= _login_ids(missing)
    return found


def _login_ids(keys: Iterable[str]) -> dict[str, int]:
    return dict(Login.objects.filter(session_key__in=list(keys)).values_list("session_key", "pk"))


def remember_login(user_id: int, session_key: str) -> None:
    """Keep which person a session belongs to: Django's sessions can't be found by person."""
    Login.objects.update_or_create(session_key=session_key, defaults={"user_id": user_id})


def move_login(old_key: str, new_key: str) -> None:
    """A session got a new key (a password was changed in it) and goes on."""
    Login.objects.filter(session_key=old_key).update(session_key=new_key)


def end_sessions(user: User) -> None:
    """Sign a person out of every browser. The caller tells the processes, which close their sockets."""
    logins = Login.objects.filter(user=user)
    keys = list(logins.values_list("session_key", flat=True))
    logins.delete()
    Session.objects.filter(session_key__in=keys).delete()


# Bans


def in_force(now: datetime | None = None) -> Q:
    """The bans that have not run out."""
    return Q(until=None) | Q(until__gt=now or timezone.now())


def site_bans(users: Iterable[int]) -> dict[int, Ban]:
    rows = Ban.objects.filter(in_force(), room=None, user__in=set(users))
    return {row.user_id: row for row in rows}


def banned(ban: Ban) -> EventError:
    more = {"reason": ban.reason} if ban.reason else {}
    if ban.until:
        more["until"] = rfc3339(ban.until)
    return EventError("banned", f"you are banned: {ban.reason}" if ban.reason else "you are banned", **more)


# Finding people


def find(user: int | str, *, active: bool = True) -> User:
    """The person with this id (an integer) or name (a string), else `not_found`; without `active`
    also one whose account was switched off."""
    which = Q(username=user.replace("\0", "\ufffd")) if isinstance(user, str) else Q(pk=user)
    found = everyone(active).filter(which).first()
    if found is None:
        raise EventError("not_found", f"there is no person {user!r}", field="user")
    return found


def whose_name_has(part: str) -> Q:
    """In capitals or not. SQLite compares with 50,000 bytes at most, and no name is that long."""
    if len(part) > (User._meta.get_field("username").max_length or 0):
        return Q(pk__in=[])
    return Q(username__icontains=part.replace("\0", "\ufffd"))


def everyone(active: bool = True) -> QuerySet[User]:
    """Who has an account; without `active` also one that was switched off."""
    people = User.objects.exclude(pk=SYSTEM)
    return people.filter(is_active=True) if active else people
