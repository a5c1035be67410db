"""Messages, and everything else that stands in a log. Written by delivery alone: what can be done
here is to delete one, which is an act."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from unfold.contrib.filters.admin import AutocompleteSelectFilter, DropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from chat.errors import EventError
from chat.models import Message, Room
from chat.services import moderation, search
from chat.services.paging import SLICE

from .base import Dialog, Endless, ReasonForm, dialog, reason_field, reason_of, sentence
from .columns import excerpt
from .lists import Timeline

Kind = Message.Kind
#: Not to be chosen: what is shown without, and the server's own.
OTHERS = (Kind.MESSAGE, Kind.CONTROL)
EDITS = 20  #: of a message that are shown, the last ones


class Delete(Dialog):
    title, submit, done = "Delete", "Delete the message", "The message is gone."
    about = "Its text leaves the log, and every page at once. Its number stays, as a tombstone."
    permission, icon, variant = "chat.delete_message", "delete", ActionVariant.DANGER
    reason = reason_field("The members are told it.")

    def act(self, by: int, reason: str) -> None:
        delete(by, Message.objects.select_related("room").get(pk=self.row), reason)


def delete(by: int, message: Message, reason: str = "") -> None:
    room = message.room
    moderation.delete_message(by, room.slug, message.seq, namespace=room.namespace, reason=reason)


class KindFilter(DropdownFilter):
    """One kind at a time, as the index has it: most of a log may be reactions and edits."""

    title, parameter_name = "kind", "kind"
    all_option = ["", "messages"]

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, f"{kind.label}s".lower()) for kind in Kind if kind not in OTHERS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        chosen = self.value() in Kind.values
        return queryset.filter(kind=self.value() if chosen else Kind.MESSAGE)


class Sender(AutocompleteSelectFilter):
    """Looked up room by room: a log is indexed by its senders, the table isn't."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Message]) -> QuerySet[Message]:
        queryset = super().queryset(request, queryset)
        return queryset.filter(room__in=Room.objects.values("pk")) if self.used_parameters else queryset


@admin.register(Message)
class MessageAdmin(Endless):
    list_display = ["said", "sender", "room", "seq", "shown_kind", "at"]
    list_select_related = ["room", "sender"]
    list_filter = [("room", AutocompleteSelectFilter), ("sender", Sender), KindFilter]
    list_filter_submit = True
    date_hierarchy = "at"
    sortable_by = ()
    search_fields = ["body"]
    search_help_text = "Words of a message"
    fields = ["preview", "source", "sender", ("room", "seq"), ("shown_kind", "target"), "at", "client_id",
              "data", "edits", "tombstone"]  # fmt: skip
    action_form = ReasonForm
    actions = ["delete_all"]
    actions_row = actions_detail = ["delete_message"]
    change_list_template = "admin/chat/message/change_list.html"
    delete_message = dialog(Delete)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[Timeline]:
        return Timeline

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        return super().get_queryset(request).exclude(kind=Kind.CONTROL)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By the index of words that people's own searches use."""
        if not search_term:
            return queryset, False
        room = request.GET.get("room__id__exact", "")
        try:
            found = search.anywhere(search_term, int(room) if room.isdecimal() else None, SLICE)
        except EventError as refusal:
            messages.error(request, sentence(refusal.message))
            return queryset.none(), False
        return queryset.filter(pk__in=found), False

    def get_ordering(self, request: HttpRequest) -> list[str]:
        """By what there is an index for; a room's own numbers are in the order of its times."""
        in_a_room = "room__id__exact" in request.GET and "at__day" not in request.GET
        return ["-room_id", "-seq"] if in_a_room else ["-at"]

    @admin.action(description="Delete", permissions=["remove"])
    def delete_all(self, request: HttpRequest, queryset: QuerySet[Message]) -> None:
        act = partial(delete, request.user.pk or 0, reason=reason_of(request))
        self.each(request, queryset.select_related("room").order_by("room", "seq"), act, "deleted")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_message")

    # In a list

    @display(description="message")
    def said(self, message: Message) -> str:
        return excerpt(message)

    @display(description="kind", label={"deleted": "danger", Kind.NOTICE: "info", Kind.ITEM: "primary"})
    def shown_kind(self, message: Message) -> str | None:
        """What isn't plain."""
        if message.deleted:
            return "deleted"
        return None if message.kind == Kind.MESSAGE else message.kind

    # On its page

    @display(description="as it is shown")
    def preview(self, message: Message) -> str:
        shown = [message, *self._edits(message)][-1]
        if message.deleted:
            return "(deleted)"
        # Cleaned when it was written, as the pages of the chat show it.
        text = mark_safe(shown.html) if shown.html else format_html("<p>{}</p>", shown.body)  # noqa: S308
        return format_html('<div class="message-preview">{}</div>', text)

    @display(description="as it was written")
    def source(self, message: Message) -> str:
        return format_html('<pre class="message-source">{}</pre>', message.body) if message.body else "–"

    @display(description="more of it", empty_value="–")
    def data(self, message: Message) -> str | None:
        return message.extra or None

    @display(description="edits", empty_value="–")
    def edits(self, message: Message) -> str | None:
        edits = self._edits(message)[-EDITS:]
        rows = (format_html("<li>{}: {}</li>", edit.at, edit.body) for edit in edits)
        return format_html("<ol>{}</ol>", mark_safe("".join(rows))) if edits else None  # noqa: S308

    @display(description="deleted", empty_value="–")
    def tombstone(self, message: Message) -> str | None:
        if not message.deleted:
            return None
        told = json.loads(message.deleted)
        why = f": {told['reason']}" if told.get("reason") else ""
        return f"{told['at']} by {told['by']['name']}{why}"

    def _edits(self, message: Message) -> list[Message]:
        """The oldest first; sorted here, or SQLite would read the room for their order."""
        upon = Message.objects.filter(room=message.room_id, target__in=[message.seq], kind=Kind.EDIT)
        return sorted(upon, key=lambda edit: edit.seq)

    def view_on_site(self, message: Message) -> str | None:
        room = message.room
        return reverse("room", args=[room.slug]) if room.namespace == "chat" else None
