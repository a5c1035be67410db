"""Bans, mutes and reports."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import AutocompleteSelectFilter, ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import display

from chat.models import Ban, Membership, Mute, Report, Room
from chat.services import moderation, people, reports
from chat.services.acts import FOR_GOOD

from .base import (
    Acting,
    ActPage,
    Dialog,
    Endless,
    ReasonForm,
    dialog,
    reason_field,
    reason_of,
    term_field,
)
from .columns import excerpt, with_messages

# Bans


class BanForm(Acting, forms.ModelForm):
    term = term_field()
    reason = reason_field("The person is told it.")

    class Meta:
        model = Ban
        fields = ("user", "room")
        help_texts = {"room": "Empty: from the whole site."}

    def act(self, by: int, user: User, room: Room | None, term: float | None, reason: str) -> Ban:
        namespace = {"namespace": room.namespace} if room else {}
        slug = room.slug if room else None
        return moderation.ban(by, user.pk, slug, seconds=term, reason=reason, **namespace)


class Unban(Dialog):
    title, submit, done = "Unban", "Unban", "They may come back."
    permission, icon = "chat.delete_ban", "lock_open"

    def act(self, by: int) -> None:
        unban(by, Ban.objects.select_related("room").get(pk=self.row))


def unban(by: int, ban: Ban) -> None:
    if ban.until is not None and ban.until <= timezone.now():
        ban.delete()  # it has run out: nobody is told
        return
    namespace = {"namespace": ban.room.namespace} if ban.room else {}
    moderation.unban(by, ban.user_id, ban.room.slug if ban.room else None, **namespace)


class InForce(DropdownFilter):
    title, parameter_name = "whether it is in force", "in_force"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "In force"), ("no", "Run out")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Ban]) -> QuerySet[Ban]:
        wanted = {"yes": queryset.filter, "no": queryset.exclude}.get(self.value() or "")
        return wanted(people.in_force()) if wanted else queryset


@admin.register(Ban)
class BanAdmin(ActPage):
    form = BanForm
    list_display = ["user", "place", "shown_until", "reason", "by", "at"]
    list_select_related = ["user", "room", "by"]
    list_filter = [
        InForce,
        ("user", AutocompleteSelectFilter),
        ("room", AutocompleteSelectFilter),
    ]
    list_filter_submit = True
    search_fields = ["user__username", "reason"]
    autocomplete_fields = ["user", "room"]
    ordering = ["-pk"]
    actions = ["unban_all"]
    actions_row = actions_detail = ["unban"]
    unban = dialog(Unban)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("chat.add_ban")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None:
            return ["user", "room", "term", "reason"]
        return ["user", "place", "shown_until", "reason", "by", "at"]

    @admin.action(description="Unban", permissions=["unban"])
    def unban_all(self, request: HttpRequest, queryset: QuerySet[Ban]) -> None:
        self.each(request, queryset.select_related("room"), partial(unban, request.user.pk or 0), "lifted")

    def has_unban_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_ban")

    @display(description="from", ordering="room")
    def place(self, ban: Ban) -> str:
        return str(ban.room or "the whole site")

    @display(description="until", ordering="until")
    def shown_until(self, ban: Ban) -> Any:
        return ban.until or "for good"


# Mutes


class MuteForm(Acting, forms.ModelForm):
    term = term_field()
    reason = reason_field("The members are told it.")

    class Meta:
        model = Mute
        fields = ("user", "room")

    def act(self, by: int, user: User, room: Room, term: float | None, reason: str) -> Membership:
        return moderation.mute(by, user.pk, room.slug, namespace=room.namespace, seconds=term, reason=reason)


class Unmute(Dialog):
    title, submit, done = "Let them write again", "Unmute", "They may write again."
    permission, icon = "chat.delete_mute", "volume_up"

    def act(self, by: int) -> None:
        unmute(by, Membership.objects.select_related("room").get(pk=self.row))


def unmute(by: int, membership: Membership) -> None:
    room = membership.room
    moderation.mute(by, membership.user_id, room.slug, namespace=room.namespace, seconds=0)


@admin.register(Mute)
class MuteAdmin(ActPage):
    form = MuteForm
    list_display = ["user", "room", "shown_until", "role"]
    list_select_related = ["user", "room"]
    list_filter = [("user", AutocompleteSelectFilter), ("room", AutocompleteSelectFilter)]
    list_filter_submit = True
    search_fields = ["user__username"]
    autocomplete_fields = ["user", "room"]
    ordering = ["muted_until"]
    actions = ["unmute_all"]
    actions_row = actions_detail = ["unmute"]
    unmute = dialog(Unmute)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mute]:
        return super().get_queryset(request).filter(muted_until__gt=timezone.now())

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("chat.add_mute")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["user", "room", "term", "reason"] if obj is None else ["user", "room", "shown_until", "role"]

    @admin.action(description="Let them write again", permissions=["unmute"])
    def unmute_all(self, request: HttpRequest, queryset: QuerySet[Mute]) -> None:
        self.each(request, queryset.select_related("room"), partial(unmute, request.user.pk or 0), "ended")

    def has_unmute_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_mute")

    @display(description="until", ordering="muted_until")
    def shown_until(self, mute: Mute) -> Any:
        return "for good" if mute.muted_until == FOR_GOOD else mute.muted_until


# Reports


class Claim(Dialog):
    title, submit, done = "Claim", "I see to it", "It is yours."
    about = "The other moderators see that you look into it."
    permission, icon = "chat.change_report", "front_hand"

    def act(self, by: int) -> None:
        reports.claim(by, self.row)


class Resolve(Dialog):
    title, submit, done = "Resolve", "Resolve", "Resolved."
    about = "Something was done about it."
    permission, icon = "chat.change_report", "check_circle"
    outcome = reason_field("What came of it; for the other moderators.")

    def act(self, by: int, outcome: str) -> None:
        reports.resolve(by, self.row, outcome)


class Dismiss(Resolve):
    title, submit, done = "Dismiss", "Dismiss", "Dismissed."
    about = "There is nothing to be done about it."
    icon = "block"

    def act(self, by: int, outcome: str) -> None:
        reports.dismiss(by, self.row, outcome)


class DeleteReported(Dialog):
    title, submit, done = "Delete the message", "Delete", "The message is gone."
    about = "Its text leaves the log, and every page at once."
    permission, icon = "chat.delete_message", "delete"
    reason = reason_field("The members are told it.")

    def act(self, by: int, reason: str) -> None:
        report = Report.objects.select_related("room").get(pk=self.row)
        room = report.room
        moderation.delete_message(by, room.slug, report.seq, namespace=room.namespace, reason=reason)


STATES = {"open": "danger", "claimed": "warning", "resolved": "success", "dismissed": "info"}


@admin.register(Report)
class ReportAdmin(Endless):
    list_display = ["message", "room", "reporter", "reason", "shown_state", "handled_by", "at"]
    list_select_related = ["room", "reporter", "handled_by"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("room", AutocompleteSelectFilter),
        ("reporter", AutocompleteSelectFilter),
    ]
    list_filter_submit = True
    fields = ["message", "room", "seq", "reporter", "reason", "at", "shown_state", "handled_by", "handled_at",
              "outcome"]  # fmt: skip
    ordering = ["-pk"]
    action_form = ReasonForm
    actions = ["resolve_all", "dismiss_all"]
    actions_row = actions_detail = ["claim", "resolve", "dismiss", "delete_reported"]
    claim, resolve, dismiss = dialog(Claim), dialog(Resolve), dialog(Dismiss)
    delete_reported = dialog(DeleteReported)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        page.result_list = with_messages(page.result_list)
        return page

    @admin.action(description="Resolve", permissions=["judge"])
    def resolve_all(self, request: HttpRequest, queryset: QuerySet[Report]) -> None:
        by, outcome = request.user.pk or 0, reason_of(request)
        self.each(request, queryset, lambda report: reports.resolve(by, report.pk, outcome), "resolved")

    @admin.action(description="Dismiss", permissions=["judge"])
    def dismiss_all(self, request: HttpRequest, queryset: QuerySet[Report]) -> None:
        by, outcome = request.user.pk or 0, reason_of(request)
        self.each(request, queryset, lambda report: reports.dismiss(by, report.pk, outcome), "dismissed")

    def has_judge_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_report")

    @display(description="message")
    def message(self, report: Any) -> str:
        if not hasattr(report, "said"):
            with_messages([report])
        if report.said is None:
            return "(trimmed)"
        return format_html("<strong>{}</strong>: {}", report.said.sender, excerpt(report.said))

    @display(description="state", ordering="state", label=STATES)
    def shown_state(self, report: Report) -> str:
        return report.state
