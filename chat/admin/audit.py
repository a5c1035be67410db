"""What the staff and the moderators did: to be read, and never to be changed."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter
from unfold.decorators import display

from .base import Endless

FLAGS = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}


@admin.register(LogEntry)
class AuditAdmin(Endless):
    list_display = ["action_time", "user", "what", "about", "kind"]
    list_select_related = ["user", "content_type"]
    list_filter = [("user", AutocompleteSelectFilter), ("action_flag", ChoicesDropdownFilter)]
    list_filter_submit = True
    search_fields = ["object_repr", "change_message"]
    sortable_by = ()
    ordering = ["-pk"]
    fields = ["action_time", "user", "kind", "about", "what"]

    @display(description="what was done")
    def what(self, entry: LogEntry) -> str:
        return entry.get_change_message() or FLAGS.get(entry.action_flag, "")

    @display(description="to", empty_value="–")
    def about(self, entry: LogEntry) -> str | None:
        return entry.object_repr or None

    @display(description="kind", empty_value="–")
    def kind(self, entry: LogEntry) -> str | None:
        return entry.content_type.name if entry.content_type else None

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("admin.view_logentry")
