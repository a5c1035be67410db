"""Django's admin for the chat. What delivery writes can be read here and changed nowhere."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from chat.models import Ban, DeadLetter, Membership, Message, Report, Room, Token
from chat.services import tokens


class ReadOnly:
    """Rows that people look at: added, changed and deleted by the server alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Members(ReadOnly, admin.TabularInline):
    model = Membership
    fields = readonly_fields = ("user", "role", "received", "read", "muted_until")


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    list_display = ["slug", "namespace", "name", "kind", "private", "head", "closed_at"]
    list_filter = ["namespace", "kind", "private"]
    search_fields = ["slug", "name", "topic"]
    readonly_fields = ["namespace", "slug", "kind", "ordering", *Room.DELIVERY_FIELDS]
    inlines = [Members]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a room begins with an owner, in the chat

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # entries leave a log from its bottom only, by retention


@admin.register(Message)
class MessageAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["room", "seq", "kind", "sender", "at"]
    list_filter = ["kind"]
    list_select_related = ["room", "sender"]
    show_full_result_count = False  # counting a long log is slow


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["room", "user", "first", "last", "reason", "at"]
    list_filter = ["reason"]
    list_select_related = ["room", "user"]


@admin.register(Ban)
class BanAdmin(admin.ModelAdmin):
    list_display = ["user", "room", "reason", "until", "by"]
    list_select_related = ["user", "room", "by"]
    autocomplete_fields = ["user", "room"]
    exclude = ["by"]

    def save_model(self, request: HttpRequest, obj: Ban, form: Any, change: bool) -> None:
        if not change:
            obj.by_id = request.user.pk
        super().save_model(request, obj, form, change)


@admin.register(Report)
class ReportAdmin(admin.ModelAdmin):
    list_display = ["room", "seq", "reporter", "reason", "state", "at"]
    list_filter = ["state"]
    list_select_related = ["room", "reporter"]
    readonly_fields = ["room", "seq", "reporter", "reason", "at"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Token)
class TokenAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["user", "label", "created_at", "revoked_at"]
    list_select_related = ["user"]
    fields = ["user", "label", "created_at", "revoked_at"]
    actions = ["revoke"]

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        for token in queryset.filter(revoked_at=None):
            tokens.revoke(token)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_token")
