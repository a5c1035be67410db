"""Rooms and queues, and who belongs to them."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from unfold.contrib.filters.admin import (
    AutocompleteSelectFilter,
    BooleanRadioFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
)
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from chat.models import Membership, Room
from chat.services import moderation, rooms
from chat.services.acts import FOR_GOOD, acting

from .base import (
    Acting,
    Dialog,
    Endless,
    ReasonForm,
    StaffAdmin,
    TermForm,
    dialog,
    reason_field,
    reason_of,
    term_field,
    term_of,
)
from .columns import links
from .moderation import Unmute

# Rooms

RULES = ("slow_mode", "filtered_words", "filter_action")
POLICY = ("ack_wait", "max_deliver", "lease_seconds", "max_attempts", "retain_entries", "retain_seconds",
          "expire_seconds", "history_from_join")  # fmt: skip


class RoomForm(Acting, forms.ModelForm):
    """Its name and its rules are acts, of which the members are told; the rest is saved as it is."""

    class Meta:
        model = Room
        fields = ("name", "topic", "private", *RULES, *POLICY)

    def _post_clean(self) -> None:
        forms.ModelForm._post_clean(self)  # type: ignore[attr-defined]
        super()._post_clean()

    def acted_with(self) -> list[str]:
        return [name for name in self.changed_data if name in ("name", "topic", *RULES)]

    def act(self, by: int, **changes: Any) -> None:
        room = self.instance
        named = {name: changes.pop(name) for name in ("name", "topic") if name in changes}
        if "filtered_words" in changes:
            changes["filtered_words"] = changes["filtered_words"].split()
        with transaction.atomic():  # all of them or none
            if named:
                rename(by, room, **named)
            if changes:
                moderation.set_rules(by, room.slug, namespace=room.namespace, **changes)


def rename(by: int, room: Room, **named: str) -> None:
    with acting(by, room.namespace, room.slug) as act:
        rooms.check_open(act.place)
        rooms.rename(act.place, named)


def close(by: int, room: Room, reason: str = "") -> None:
    moderation.close_room(by, room.slug, namespace=room.namespace, reason=reason)


def reopen(by: int, room: Room) -> None:
    moderation.reopen_room(by, room.slug, namespace=room.namespace)


class OfRoom(Dialog):
    permission = "chat.change_room"

    @property
    def room(self) -> Room:
        return Room.objects.get(pk=self.row)


class Close(OfRoom):
    title, submit, done = "Close", "Close the room", "The room is closed."
    about = "It takes no more messages. Members may still read it; nobody else finds it."
    icon, variant = "door_front", ActionVariant.DANGER
    reason = reason_field("The members are told it.")

    def act(self, by: int, reason: str) -> None:
        close(by, self.room, reason)


class Reopen(OfRoom):
    title, submit, done = "Open again", "Open again", "The room is open again."
    icon = "door_open"

    def act(self, by: int) -> None:
        reopen(by, self.room)


class Closed(DropdownFilter):
    title, parameter_name = "whether it is closed", "closed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Open"), ("yes", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Room]) -> QuerySet[Room]:
        value = self.value()
        return queryset.filter(closed_at__isnull=value == "no") if value in ("yes", "no") else queryset


@admin.register(Room)
class RoomAdmin(StaffAdmin):
    form = RoomForm
    list_display = ["shown", "namespace", "kind", "private", "members", "head", "kept", "slow_mode", "state"]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("private", BooleanRadioFilter),
        Closed,
    ]
    list_filter_submit = True
    search_fields = ["slug", "name", "topic"]
    ordering = ["namespace", "slug"]
    readonly_fields = ["namespace", "slug", "kind", "ordering", "numbers", "epoch", "created_at", "closed_at",
                       "more"]  # fmt: skip
    fieldsets = [
        (None, {"fields": [("namespace", "slug"), "name", "topic", "private", "more"]}),
        ("Rules", {"fields": ["slow_mode", "filtered_words", "filter_action"]}),
        ("Retention", {"classes": ["tab"], "fields": ["retain_entries", "retain_seconds", "expire_seconds"]}),
        (
            "Delivery",
            {
                "classes": ["tab"],
                "fields": ["ack_wait", "max_deliver", "lease_seconds", "max_attempts", "history_from_join"],
            },  # fmt: skip
        ),
        (
            "Log",
            {
                "classes": ["tab"],
                "fields": [("kind", "ordering"), "numbers", "epoch", "created_at", "closed_at"],
            },  # fmt: skip
        ),
    ]
    action_form = ReasonForm
    actions = ["close_all", "reopen_all"]
    actions_row = actions_detail = ["close", "reopen"]
    close, reopen = dialog(Close), dialog(Reopen)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("chat.change_room")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Room]:
        members = Membership.objects.filter(room=OuterRef("pk")).order_by().values("room")
        count = Subquery(members.annotate(count=Count("pk")).values("count"))
        found = super().get_queryset(request).exclude(kind=Room.Kind.CONTROL)
        return found.annotate(members=Coalesce(count, 0, output_field=IntegerField()))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        acted = {"name", "topic", *RULES}
        obj.save(update_fields=[name for name in form.changed_data if name not in acted])

    @admin.action(description="Close", permissions=["change"])
    def close_all(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        self.each(
            request, queryset, partial(close, request.user.pk or 0, reason=reason_of(request)), "closed"
        )

    @admin.action(description="Open again", permissions=["change"])
    def reopen_all(self, request: HttpRequest, queryset: QuerySet[Room]) -> None:
        self.each(request, queryset, partial(reopen, request.user.pk or 0), "opened again")

    @display(description="room", ordering="slug")
    def shown(self, room: Room) -> str:
        return room.slug if room.name in ("", room.slug) else f"{room.slug} · {room.name}"

    @display(description="members")
    def members(self, room: Any) -> int:
        return room.members

    @display(description="kept")
    def kept(self, room: Room) -> int:
        return room.head - room.first + 1

    @display(description="state", label={"open": "success", "closed": "danger"})
    def state(self, room: Room) -> str:
        return "closed" if room.closed_at else "open"

    @display(description="numbers")
    def numbers(self, room: Room) -> str:
        return f"{room.first} to {room.head}"

    @display(description="see")
    def more(self, room: Room) -> str:
        here = {"room__id__exact": room.pk}
        return links(
            ("Members", "chat_membership", here),
            ("Messages", "chat_message", here),
            ("Bans", "chat_ban", here),
            ("Reports", "chat_report", here),
            ("Dead letters", "chat_deadletter", here),
            *([("Orders", "chat_lease", here)] if room.kind == Room.Kind.QUEUE else []),
        )


# Members


class OfMember(Dialog):
    @property
    def member(self) -> Membership:
        return Membership.objects.select_related("room", "user").get(pk=self.row)


class Kick(OfMember):
    title, submit, done = "Remove from the room", "Remove", "They are out of the room."
    about = "Into a public room they may come back."
    permission, icon, variant = "chat.delete_membership", "person_remove", ActionVariant.DANGER
    reason = reason_field("The members are told it.")

    def act(self, by: int, reason: str) -> None:
        kick(by, self.member, reason)


class MuteMember(OfMember):
    title, submit, done = "Mute", "Mute", "They may read and not write."
    permission, icon = "chat.add_mute", "volume_off"
    term = term_field()
    reason = reason_field("The members are told it.")

    def act(self, by: int, term: float | None, reason: str) -> None:
        mute(by, self.member, term, reason)


class BanMember(OfMember):
    title, submit, done = "Ban from the room", "Ban", "They are banned from the room."
    permission, icon, variant = "chat.add_ban", "block", ActionVariant.DANGER
    term = term_field()
    reason = reason_field("They and the members are told it.")

    def act(self, by: int, term: float | None, reason: str) -> None:
        ban(by, self.member, term, reason)


class SetRole(OfMember):
    title, submit, done = "Role", "Give this role", "The role is given."
    permission, icon = "chat.change_membership", "shield_person"
    role = forms.ChoiceField(choices=Membership.Role.choices, widget=UnfoldAdminSelectWidget())

    def act(self, by: int, role: str) -> None:
        member = self.member
        moderation.set_role(by, member.user_id, member.room.slug, role, namespace=member.room.namespace)


def kick(by: int, member: Membership, reason: str = "") -> None:
    moderation.kick(by, member.user_id, member.room.slug, namespace=member.room.namespace, reason=reason)


def mute(by: int, member: Membership, seconds: float | None, reason: str = "") -> None:
    room = member.room
    moderation.mute(by, member.user_id, room.slug, namespace=room.namespace, seconds=seconds, reason=reason)


def ban(by: int, member: Membership, seconds: float | None, reason: str = "") -> None:
    room = member.room
    moderation.ban(by, member.user_id, room.slug, namespace=room.namespace, seconds=seconds, reason=reason)


@admin.register(Membership)
class MembershipAdmin(Endless):
    list_display = ["user", "room", "shown_role", "lag", "received", "read", "muted", "joined_at"]
    list_select_related = ["user", "room"]
    list_filter = [
        ("room", AutocompleteSelectFilter),
        ("user", AutocompleteSelectFilter),
        ("role", ChoicesDropdownFilter),
    ]
    list_filter_submit = True
    ordering = ["-pk"]
    sortable_by = ()
    fields = ["user", "room", "shown_role", "muted", "joined_at", "joined_at_seq", "received", "read", "lag"]
    action_form = TermForm
    actions = ["mute_all", "kick_all", "ban_all"]
    actions_row = ["role", "mute", "unmute", "kick", "ban"]
    actions_detail = [{"title": "Moderate", "icon": "gavel", "items": [*actions_row]}]
    role, mute, unmute = dialog(SetRole), dialog(MuteMember), dialog(Unmute)
    kick, ban = dialog(Kick), dialog(BanMember)

    @admin.action(description="Mute", permissions=["mute"])
    def mute_all(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        act = partial(mute, request.user.pk or 0, seconds=term_of(request), reason=reason_of(request))
        self.each(request, queryset.select_related("room"), act, "muted")

    @admin.action(description="Remove from the room", permissions=["kick"])
    def kick_all(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        act = partial(kick, request.user.pk or 0, reason=reason_of(request))
        self.each(request, queryset.select_related("room"), act, "ended")

    @admin.action(description="Ban from the room", permissions=["ban"])
    def ban_all(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        act = partial(ban, request.user.pk or 0, seconds=term_of(request), reason=reason_of(request))
        self.each(request, queryset.select_related("room"), act, "ended by a ban")

    def has_mute_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.add_mute")

    def has_kick_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_membership")

    def has_ban_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.add_ban")

    @display(description="role", label={"owner": "primary", "moderator": "info"})
    def shown_role(self, member: Membership) -> str:
        return member.role

    @display(description="lag")
    def lag(self, member: Membership) -> int | None:
        """Of a queue nobody receives everything."""
        return member.room.head - member.received if member.room.kind == Room.Kind.FANOUT else None

    @display(description="muted", empty_value="–")
    def muted(self, member: Membership) -> Any:
        return "for good" if member.muted_until == FOR_GOOD else member.muted_until
