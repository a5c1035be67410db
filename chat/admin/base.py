"""What the pages of the admin share: acts are the services', and so are their refusals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.checks import ModelAdminChecks
from django.contrib.admin.utils import model_ngettext
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.enums import ActionVariant
from unfold.forms import ActionForm, BaseDialogForm
from unfold.paginator import InfinitePaginator
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from chat.errors import EventError
from chat.services.acts import REASON

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
#: Seconds of a ban or a mute; empty is for good.
TERMS = [
    ("", "for good"),
    (str(10 * MINUTE), "for 10 minutes"),
    (str(HOUR), "for an hour"),
    (str(DAY), "for a day"),
    (str(7 * DAY), "for a week"),
    (str(30 * DAY), "for 30 days"),
]
#: No id.
LONG = r"[0-9]{19,}"
#: Refusals of one action that are said in full.
SAID = 5


class StaffAdmin(ModelAdmin):
    """A list that people look at. What is added, changed and deleted goes through the services,
    by actions; each model allows what its form does itself."""

    list_per_page = 50
    show_full_result_count = False
    list_disable_select_all = True
    # unfold's own ask the database for permissions, which is not there before it is migrated.
    checks_class = ModelAdminChecks
    show_facets = ShowFacets.NEVER  # they would count every row

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        # A number that no database can compare with would be no page at all.
        if any(re.fullmatch(LONG, str(value)) for value in request.GET.values()):
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        return super().changelist_view(request, extra_context)

    def response_action(self, request: HttpRequest, queryset: Any) -> HttpResponse | None:
        # What was ticked, one page at most: nobody has looked at all the others.
        request.POST = without(request.POST, "select_across")  # type: ignore[assignment]
        return super().response_action(request, queryset)

    def each(
        self, request: HttpRequest, rows: Iterable[Any], act: Callable[[Any], object], done: str
    ) -> None:
        """Do an act to each row, and say how many it was done to and why not to the others."""
        count, refusals = 0, Counter[str]()
        for row in rows:
            try:
                act(row)
                count += 1
            except EventError as refusal:
                refusals[refusal.message] += 1
        if count:
            messages.success(request, f"{count} {model_ngettext(self.opts, count)} {done}.")
        for message in list(refusals)[:SAID]:
            messages.error(request, sentence(message))
        if more := sum(list(refusals.values())[SAID:]):
            messages.error(request, f"{more} more could not be {done}.")


class Endless(StaffAdmin):
    """A list that may have millions of rows, of which nobody counts more than a page."""

    paginator = InfinitePaginator


def without(data: QueryDict, key: str) -> QueryDict:
    left = data.copy()
    left.pop(key, None)
    return left


def sentence(message: str) -> str:
    return f"{message}."  # it may begin with a name, so as it is


def seconds(term: str | None) -> float | None:
    return float(term) if term else None


# Acts of a list


class ReasonForm(ActionForm):
    reason = forms.CharField(
        label="",
        required=False,
        widget=UnfoldAdminTextInputWidget(
            {"placeholder": "Reason, which people are told", "maxlength": REASON, "aria-label": "Reason"}
        ),
    )


class TermForm(ReasonForm):
    term = forms.ChoiceField(
        label="",
        required=False,
        choices=TERMS,
        widget=UnfoldAdminSelectWidget({"aria-label": "For how long"}),
    )


def reason_of(request: HttpRequest) -> str:
    return request.POST.get("reason", "")


def term_of(request: HttpRequest) -> float | None:
    term = request.POST.get("term", "")
    return seconds(term) if term in dict(TERMS) else None


# Acts with a form


class Acting:
    """A form whose last step of validation is its act: whether it is refused is known by doing it,
    and then it has changed nothing."""

    request: HttpRequest
    errors: Any
    fields: dict[str, forms.Field]
    cleaned_data: dict[str, Any]
    add_error: Callable[[str | None, Any], None]

    #: Called with the id of who acts and what the form's fields hold.
    act: Callable[..., Any]

    def _post_clean(self) -> None:
        if self.errors:
            return
        data = {name: value for name, value in self.cleaned_data.items() if name in self.acted_with()}
        try:
            self.outcome = self.act(self.request.user.pk or 0, **data)
        except EventError as refusal:
            field = refusal.more.get("field")
            self.add_error(field if field in self.fields else None, sentence(refusal.message))
        except ObjectDoesNotExist:
            self.add_error(None, "There is no such row any more.")

    def acted_with(self) -> Iterable[str]:
        return [name for name in self.fields if not name.startswith("_")]


def reason_field(help_text: str = "", required: bool = False) -> forms.CharField:
    return forms.CharField(
        max_length=REASON, required=required, help_text=help_text, widget=UnfoldAdminTextInputWidget()
    )


def term_field() -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label="For how long",
        choices=TERMS,
        coerce=float,
        empty_value=None,
        required=False,
        widget=UnfoldAdminSelectWidget(),
    )


class Dialog(Acting, BaseDialogForm):
    """An act on one row, asked for in a dialog over its page or its list."""

    title: str
    about = ""
    submit: str
    done: str
    permission: str
    icon = ""
    variant = ActionVariant.DEFAULT

    form_before_template = "unfold/helpers/messages/error.html"

    def get_before_template_context(self, request: HttpRequest, object_id: Any = None) -> dict[str, Any]:
        return {"errors": self.non_field_errors()}

    @property
    def row(self) -> int:
        if not str(self.object_id).isdecimal():
            raise ObjectDoesNotExist
        return int(self.object_id or 0)


def dialog(form: type[Dialog]) -> Any:
    """The action of a `ModelAdmin` that opens it; for `actions_row` and `actions_detail`."""

    @action(
        description=form.title,
        permissions=[form.permission],
        icon=form.icon,
        variant=form.variant,
        dialog={
            "title": form.title,
            "description": form.about,
            "form_class": form,
            "form_submit_text": form.submit,
        },
    )
    def run(self: ModelAdmin, request: HttpRequest, form: Dialog, object_id: str) -> HttpResponse:
        messages.success(request, form.done)
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Refresh": "true"})
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    return run


class ActPage(StaffAdmin):
    """A model whose rows are made by an act: the form's fields are the act's."""

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"request": request})

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Model:
        return form.outcome

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """It is saved already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing that the act would not have made."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The act has its line in the log."""
