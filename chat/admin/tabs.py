"""What a person's page shows of them: read there, changed in its own list."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from chat.models import Ban, Login, Membership, Report, Token


class Tab(TabularInline):
    tab = hide_title = show_change_link = True
    extra = 0
    per_page = 20
    can_delete = False
    related: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found = super().get_queryset(request).order_by("-pk")
        return found.select_related(*self.related) if self.related else found


class MembershipTab(Tab):
    model = Membership
    verbose_name_plural = "rooms"
    fields = readonly_fields = ["room", "role", "received", "muted_until", "joined_at"]
    related = ("room",)


class BanTab(Tab):
    model = Ban
    fk_name = "user"
    fields = readonly_fields = ["room", "until", "reason", "by", "at"]
    related = ("room", "by")


class TokenTab(Tab):
    model = Token
    fields = readonly_fields = ["label", "created_at", "revoked_at"]


class SessionTab(Tab):
    model = Login
    fields = readonly_fields = ["at"]


class ReportTab(Tab):
    model = Report
    fk_name = "reporter"
    verbose_name_plural = "reports made"
    fields = readonly_fields = ["room", "seq", "reason", "state", "at"]
    related = ("room",)
