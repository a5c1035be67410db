"""People: their accounts, what they may do, and where they are signed in."""

from __future__ import annotations

from functools import partial
from typing import Any

from axes.models import AccessAttempt
from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from unfold.contrib.filters.admin import AutocompleteSelectFilter, BooleanRadioFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from chat.delivery import door
from chat.downloads import data_of
from chat.errors import EventError
from chat.models import Login, Token
from chat.services import accounts, erasure, moderation, overview
from chat.services.acts import acting, check_not_last
from chat.services.usernames import check_username

from .base import (
    Acting,
    Dialog,
    StaffAdmin,
    TermForm,
    dialog,
    reason_field,
    reason_of,
    sentence,
    term_field,
    term_of,
)
from .tabs import BanTab, MembershipTab, ReportTab, SessionTab, TokenTab

# What is done to them


class Ban(Dialog):
    title, submit, done = "Ban from the site", "Ban", "They are banned from the site."
    about = "Their pages and programs are closed at once, and stay out."
    permission, icon, variant = "chat.add_ban", "block", ActionVariant.DANGER
    term = term_field()
    reason = reason_field("They are told it.")

    def act(self, by: int, term: float | None, reason: str) -> None:
        moderation.ban(by, self.row, seconds=term, reason=reason)


class Unban(Dialog):
    title, submit, done = "Unban", "Unban", "They may come back."
    permission, icon = "chat.delete_ban", "lock_open"

    def act(self, by: int) -> None:
        moderation.unban(by, self.row)


class SendAway(Dialog):
    title, submit, done = "Send away", "Send away", "Their pages are closed."
    about = "Closes their pages and programs; they may come back by hand."
    permission, icon = "auth.change_user", "waving_hand"
    reason = reason_field("They are told it.")

    def act(self, by: int, reason: str) -> None:
        moderation.send_away(by, self.row, reason=reason)


class EndSessions(Dialog):
    title, submit, done = "End sessions", "End them", "They are signed out everywhere."
    about = "Signs them out of every browser."
    permission, icon = "chat.delete_login", "logout"
    tokens = forms.BooleanField(label="Revoke their tokens, too", required=False)
    reason = reason_field("They are told it.")

    def act(self, by: int, tokens: bool, reason: str) -> None:
        moderation.end_sessions(by, self.row, tokens=tokens, reason=reason)


class Delete(Dialog):
    title, submit, done = "Delete", "Delete for good", "Nothing says any more who this was."
    about = "The account goes for good; what they wrote stays without their name, unless you delete it, too."
    permission, icon, variant = "auth.delete_user", "person_off", ActionVariant.DANGER
    erase = forms.BooleanField(label="Delete their messages, too", required=False)
    name = forms.CharField(label="Their name, to be sure")

    def act(self, by: int, erase: bool, name: str) -> None:
        person = User.objects.filter(pk=self.row).first()
        if person is None or person.username != name:
            raise EventError("bad_data", "this is not their name", field="name")
        accounts.check_manages(User.objects.get(pk=by), person)
        erasure.delete_person(by, self.row, erase=erase)


# Their accounts


class PersonForm(Acting, UserChangeForm):
    """Rights are given and taken as by an act; who may is asked before they are saved."""

    def clean_username(self) -> str:
        name = self.cleaned_data["username"]
        if name != self.instance.username:
            check_username(name)
        return name

    def _post_clean(self) -> None:
        UserChangeForm._post_clean(self)
        super()._post_clean()

    def acted_with(self) -> list[str]:
        return [name for name in self.changed_data if name in accounts.SAID]

    def act(self, by: int, **rights: bool) -> None:
        with acting(by) as act:
            accounts.check_rights(act, User.objects.get(pk=self.instance.pk), rights)


class NewPersonForm(UserCreationForm):
    def clean_username(self) -> str:
        name = self.cleaned_data["username"]
        check_username(name)
        return name


class PasswordForm(AdminPasswordChangeForm):
    def clean(self) -> Any:
        data = super().clean()
        if not self.cleaned_data.get("set_usable_password", True):
            try:
                check_not_last(self.user)
            except EventError as refusal:
                self.add_error("password1", sentence(refusal.message))
        return data


class Banned(DropdownFilter):
    title, parameter_name = "whether they are banned", "banned"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Banned"), ("no", "Not banned")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        value = self.value()
        return queryset.filter(Q(banned=value == "yes")) if value in ("yes", "no") else queryset


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(UserAdmin, StaffAdmin):
    form, add_form, change_password_form = PersonForm, NewPersonForm, PasswordForm
    list_display = ["username", "state", "seen", "is_staff", "is_superuser", "email", "date_joined"]
    list_filter = [
        Banned,
        ("is_active", BooleanRadioFilter),
        ("is_staff", BooleanRadioFilter),
        ("is_superuser", BooleanRadioFilter),
    ]
    list_filter_submit = True
    search_fields = ["username", "email"]
    ordering = ["username"]
    filter_horizontal = ()
    autocomplete_fields = ["groups"]
    readonly_fields = ["last_login", "date_joined", "seen"]
    fieldsets = [
        (None, {"fields": ["username", "password", ("first_name", "last_name"), "email"]}),
        (
            "Rights",
            {
                "classes": ["tab"],
                "fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"],
            },
        ),  # fmt: skip
        ("Dates", {"classes": ["tab"], "fields": ["seen", "last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["username", "password1", "password2"]})]
    inlines = [MembershipTab, BanTab, TokenTab, SessionTab, ReportTab]
    action_form = TermForm
    actions = ["ban_all", "unban_all", "end_all", "switch_off", "switch_on"]
    actions_row = ["ban", "unban", "send_away", "end_sessions"]
    actions_detail = [
        {"title": "Moderate", "icon": "gavel", "items": [*actions_row, "take_data"]},
        "delete_person",
    ]
    ban, unban, send_away = dialog(Ban), dialog(Unban), dialog(SendAway)
    end_sessions, delete_person = dialog(EndSessions), dialog(Delete)

    @action(description="Their data", icon="download", permissions=["auth.view_user", "chat.view_message"])
    def take_data(self, request: HttpRequest, object_id: str) -> StreamingHttpResponse:
        person = get_object_or_404(User, pk=object_id)
        with acting(request.user.pk or 0) as act:
            act.record("a user's data was taken", act.target(person.pk))
        return data_of(person)

    # Who may

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("auth.add_user")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if not request.user.has_perm("auth.change_user"):
            return False
        try:
            if isinstance(obj, User):
                accounts.check_manages(request.user, obj)  # type: ignore[arg-type]
        except EventError:
            return False
        return True

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else self.inlines

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        rights = ["is_staff", "is_superuser", "groups", "user_permissions"]
        return [*self.readonly_fields, *([] if request.user.is_superuser else rights)]

    # Looking

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return overview.with_presence()

    @display(description="state", label={"online": "success", "banned": "danger", "off": "warning"})
    def state(self, person: Any) -> str:
        if person.banned:
            return "banned"
        if not person.is_active:
            return "off"
        return "online" if person.online else "away"

    @display(description="last seen", empty_value="never")
    def seen(self, person: Any) -> Any:
        return "now" if person.online else person.seen_at

    # Changing

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        return self._add_view(request, form_url, extra_context)

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if object_id is None:  # a password is hashed too slowly to do it in a transaction
            return self._changeform_view(request, object_id, form_url, extra_context)
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.save()
        elif fields := [name for name in form.changed_data if name in {f.name for f in User._meta.fields}]:
            obj.save(update_fields=fields)
            if "username" in fields:
                door.control("forget")

    @admin.action(description="Ban from the site", permissions=["ban"])
    def ban_all(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        act = partial(
            moderation.ban, request.user.pk or 0, seconds=term_of(request), reason=reason_of(request)
        )
        self.each(request, queryset.values_list("pk", flat=True), act, "banned")

    @admin.action(description="Unban", permissions=["unban"])
    def unban_all(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        act = partial(moderation.unban, request.user.pk or 0)
        self.each(request, queryset.values_list("pk", flat=True), act, "unbanned")

    @admin.action(description="End sessions", permissions=["end"])
    def end_all(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        act = partial(moderation.end_sessions, request.user.pk or 0, reason=reason_of(request))
        self.each(request, queryset.values_list("pk", flat=True), act, "signed out everywhere")

    @admin.action(description="Switch the account off", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set(request, queryset, "switched off", is_active=False)

    @admin.action(description="Switch the account on", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._set(request, queryset, "switched on", is_active=True)

    def _set(self, request: HttpRequest, queryset: QuerySet[User], done: str, **rights: bool) -> None:
        act = partial(accounts.set_rights, request.user.pk or 0, **rights)
        self.each(request, queryset.values_list("pk", flat=True), act, done)

    def has_ban_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.add_ban")

    def has_unban_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_ban")

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_login")


@admin.register(Group)
class GroupAdmin(PlainGroupAdmin, StaffAdmin):
    """What some of the staff may do: who changes it could let themselves do everything."""

    search_fields = ["name"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    has_change_permission = has_delete_permission = has_add_permission


# Where they are signed in


class Revoke(Dialog):
    title, submit, done = "Revoke", "Revoke", "It opens nothing any more."
    about = "What came in with it is closed at once."
    permission, icon, variant = "chat.change_token", "key_off", ActionVariant.DANGER

    def act(self, by: int) -> None:
        moderation.revoke_token(by, self.row)


@admin.register(Token)
class TokenAdmin(StaffAdmin):
    list_display = ["user", "label", "created_at", "revoked_at"]
    list_select_related = ["user"]
    list_filter = [("user", AutocompleteSelectFilter)]
    list_filter_submit = True
    search_fields = ["user__username", "label"]
    fields = ["user", "label", "created_at", "revoked_at"]
    ordering = ["-pk"]
    actions = ["revoke_all"]
    actions_row = actions_detail = ["revoke"]
    revoke = dialog(Revoke)

    @admin.action(description="Revoke", permissions=["revoke"])
    def revoke_all(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        act = partial(moderation.revoke_token, request.user.pk or 0)
        self.each(request, queryset.values_list("pk", flat=True), act, "revoked")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.change_token")


@admin.register(Login)
class LoginAdmin(StaffAdmin):
    """Never with its key, which opens it."""

    list_display = ["user", "at"]
    list_select_related = ["user"]
    list_filter = [("user", AutocompleteSelectFilter)]
    list_filter_submit = True
    search_fields = ["user__username"]
    fields = ["user", "at"]
    ordering = ["-pk"]
    actions = ["end"]

    @admin.action(description="End all sessions of these people", permissions=["end"])
    def end(self, request: HttpRequest, queryset: QuerySet[Login]) -> None:
        act = partial(moderation.end_sessions, request.user.pk or 0)
        self.each(request, queryset.order_by().values_list("user", flat=True).distinct(), act, "ended")

    def has_end_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("chat.delete_login")


@admin.register(AccessAttempt)
class AttemptAdmin(StaffAdmin):
    """Wrong passwords; where there were too many, the name has to wait at that address."""

    list_display = ["username", "ip_address", "failures_since_start", "attempt_time"]
    search_fields = ["username", "ip_address"]
    fields = list_display
    ordering = ["-pk"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")
