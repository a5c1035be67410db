"""The orders board: the queues, and one of them. Both are the same shell, filled by its scripts."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from chat.models import Membership, Room
from chat.services import queues

from .shell import SignedIn, render_shell, signed_in
from .words import ORDERS

NAMESPACE = "orders"
LANES = (
    ("queued", _("Queued"), _("Waiting for a worker, the newest first")),
    ("leased", _("In progress"), _("A worker has it")),
    ("done", _("Done"), _("A worker has done it")),
    ("dead", _("Dead"), _("Its attempts are used up")),
)


@signed_in
def home(request: SignedIn) -> HttpResponse:
    return _shell(request)


@signed_in
def queue(request: SignedIn, slug: str) -> HttpResponse:
    return _shell(request, queues.look(NAMESPACE, slug, request.user.pk))


def _shell(request: SignedIn, queue: Room | None = None) -> HttpResponse:
    listed = queues.list_queues(NAMESPACE, request.user.pk, limit=100)["queues"]
    if queue and all(info["queue"] != queue.slug for info in listed):
        listed.append(queues.describe(queue))
    page = {
        "namespace": NAMESPACE,
        "place": "queue",
        "probe": ["order:list", {"limit": 1}],
        "queues": _with_roles(listed, request.user.pk),
        "queue": queue.slug if queue else None,
    }
    context = {"queue": queue, "lanes": LANES, "words": ORDERS}
    return render_shell(request, "orders/orders.html", "chat/js/orders/main.js", page, **context)


def _with_roles(listed: list[dict[str, Any]], user_id: int) -> list[dict[str, Any]]:
    """Whom the page offers to revive and bury; the server asks again."""
    mine = Membership.objects.filter(room__namespace=NAMESPACE, user=user_id)
    roles = dict(mine.values_list("room__slug", "role"))
    return [{**info, "role": roles.get(info["queue"])} for info in listed]
