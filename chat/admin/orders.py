"""Orders of the queues, and what became undeliverable."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from chat.delivery import leases
from chat.hub.news import tell
from chat.models import DeadLetter, Lease
from chat.services import deadletters

from .base import Dialog, Endless, StaffAdmin, dialog
from .columns import excerpt, with_messages

REVIVED = "order:revived"


def revive(by: int, letter: int) -> None:
    tell([deadletters.revive(by, letter)], event=REVIVED)


def bury(by: int, letter: int) -> None:
    if (order := deadletters.bury(by, letter)) is not None:
        tell([order])


# Orders


class ReviveOrder(Dialog):
    title, submit, done = "Revive", "Queue it once more", "It is queued once more."
    about = "It goes back to its old place, as if nobody had ever worked on it."
    permission, icon = "chat.change_deadletter", "restart_alt"

    def act(self, by: int) -> None:
        lease = Lease.objects.select_related("room").get(pk=self.row)
        tell([leases.revive(lease.room.namespace, lease.room.slug, lease.seq, by)], event=REVIVED)


class BuryOrder(Dialog):
    title, submit, done = "Bury", "Give it up", "It is given up."
    permission, icon, variant = "chat.change_deadletter", "delete_forever", ActionVariant.DANGER

    def act(self, by: int) -> None:
        lease = Lease.objects.select_related("room").get(pk=self.row)
        tell([leases.bury(lease.room.namespace, lease.room.slug, lease.seq, by)])


STATES = {"queued": "info", "leased": "warning", "done": "success", "dead": "danger"}


@admin.register(Lease)
class OrderAdmin(Endless):
    list_display = ["item", "room", "seq", "shown_state", "attempts", "worker", "due", "reason", "changed_at"]
    list_select_related = ["room", "worker"]
    list_filter = [
        ("room", AutocompleteSelectFilter),
        ("state", ChoicesDropdownFilter),
        ("worker", AutocompleteSelectFilter),
    ]
    list_filter_submit = True
    sortable_by = ()
    fields = ["whole_item", ("room", "seq"), "shown_state", "attempts", "worker", "holder", "due", "reason",
              "result", "changed_at"]  # fmt: skip
    actions_row = actions_detail = ["revive", "bury"]
    revive, bury = dialog(ReviveOrder), dialog(BuryOrder)

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["-room_id", "-seq"] if "room__id__exact" in request.GET else ["-pk"]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        page.result_list = with_messages(page.result_list)
        return page

    @display(description="item")
    def item(self, order: Any) -> str:
        return excerpt(order.said) if order.said else "(trimmed)"

    @display(description="item")
    def whole_item(self, order: Lease) -> str:
        [found] = with_messages([order])
        if found.said is None:
            return "(trimmed)"
        return format_html('<pre class="message-source">{}</pre>', pretty(found.said.body))

    @display(description="state", label=STATES)
    def shown_state(self, order: Lease) -> str:
        return order.state

    @display(description="due", empty_value="–")
    def due(self, order: Lease) -> Any:
        """When a lease lapses, or an order may be leased."""
        return order.visible_at if order.state in (Lease.State.QUEUED, Lease.State.LEASED) else None


def pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


# Dead letters


class Revive(Dialog):
    title, submit, done = "Revive", "Queue it once more", "It is queued once more."
    about = "The order goes back to its old place in the queue, as if nobody had ever worked on it."
    permission, icon = "chat.change_deadletter", "restart_alt"

    def act(self, by: int) -> None:
        revive(by, self.row)


class Bury(Dialog):
    title, submit, done = "Bury", "Give it up", "It is given up."
    permission, icon, variant = "chat.change_deadletter", "delete_forever", ActionVariant.DANGER

    def act(self, by: int) -> None:
        bury(by, self.row)


@admin.register(DeadLetter)
class DeadLetterAdmin(StaffAdmin):
    list_display = ["shown", "room", "user", "attempts", "shown_reason", "why", "at"]
    list_select_related = ["room", "user"]
    list_filter = [
        ("room", AutocompleteSelectFilter),
        ("user", AutocompleteSelectFilter),
        ("reason", ChoicesDropdownFilter),
    ]
    list_filter_submit = True
    fields = ["room", "user", ("first", "last"), "attempts", "shown_reason", "why", "item", "at"]
    ordering = ["-pk"]
    actions = ["revive_all", "bury_all"]
    actions_row = actions_detail = ["revive", "bury"]
    revive, bury = dialog(Revive), dialog(Bury)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        page.result_list = list(page.result_list)
        for letter, told in zip(page.result_list, deadletters.describe(page.result_list), strict=True):
            letter.told = told
        return page

    @admin.action(description="Revive", permissions=["judge"])
    def revive_all(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        by = request.user.pk or 0
        self.each(request, _oldest(queryset), lambda letter: revive(by, letter), "revived")

    @admin.action(description="Bury", permissions=["judge"])
    def bury_all(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        by = request.user.pk or 0
        self.each(request, _oldest(queryset), lambda letter: bury(by, letter), "buried")

    def has_judge_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_deadletter")

    @display(description="number")
    def shown(self, letter: DeadLetter) -> str:
        return str(letter.first) if letter.first == letter.last else f"{letter.first} to {letter.last}"

    @display(description="reason", label="warning")
    def shown_reason(self, letter: DeadLetter) -> str:
        return letter.get_reason_display()

    @display(description="last words", empty_value="–")
    def why(self, letter: Any) -> str | None:
        return self._told(letter).get("why")

    @display(description="item", empty_value="–")
    def item(self, letter: Any) -> str | None:
        item = self._told(letter).get("item")
        return None if item is None else json.dumps(item, ensure_ascii=False)

    def _told(self, letter: Any) -> dict[str, Any]:
        if not hasattr(letter, "told"):
            letter.told = deadletters.describe([letter])[0]
        return letter.told


def _oldest(letters: QuerySet[DeadLetter]) -> list[int]:
    """In the order in which they will be worked on again."""
    return list(letters.order_by("room", "first").values_list("pk", flat=True))
