"""What moderators do, for `server.django(act, …)`: from another process than the server's."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction

from chat.delivery import door
from chat.delivery.entries import SYSTEM, Draft
from chat.models import Ban, Membership, Room


def ban(slug: str, user: int, reason: str = "") -> None:
    with transaction.atomic():
        room = lock(slug)
        Ban.objects.create(room=room, user_id=user, reason=reason)
        end_membership(room, user, "ban", reason)


def drop_ban(slug: str, user: int) -> None:
    Ban.objects.filter(room__slug=slug, user=user).delete()


def kick(slug: str, user: int, reason: str = "") -> None:
    with transaction.atomic():
        end_membership(lock(slug), user, "kick", reason)


def mute(slug: str, user: int, until: datetime) -> None:
    Membership.objects.filter(room__slug=slug, user=user).update(muted_until=until)


def make(role: str, slug: str, user: int) -> None:
    Membership.objects.filter(room__slug=slug, user=user).update(role=role)


def change(slug: str, **fields: Any) -> None:
    Room.objects.filter(namespace="chat", slug=slug).update(**fields)


def lock(slug: str) -> Room:
    return Room.objects.select_for_update().get(namespace="chat", slug=slug)


def end_membership(room: Room, user: int, act: str, reason: str) -> None:
    membership = Membership.objects.select_related("user").get(room=room, user=user)
    membership.delete()
    person = {"id": user, "name": membership.user.username}
    about = {"act": act, "user": person, "reason": reason, "text": f"{person['name']} was removed."}
    door.write(Draft(room.namespace, room.slug, SYSTEM, uuid.uuid4().hex, "notice", extra=about))


def fill(slug: str, sender: int, count: int, size: int = 1) -> None:
    """Many messages at once, which no process is told of."""
    body = "x" * size
    door.write(*(Draft("chat", slug, sender, uuid.uuid4().hex, "message", body=body) for _ in range(count)))
