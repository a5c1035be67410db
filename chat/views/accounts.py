"""Signing up, and changing one's password. Signing in and out are Django's own views."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth import views as auth
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import CreateView

from chat.services.people import move_login
from chat.services.usernames import check_username


class SignUpForm(UserCreationForm):
    class Meta(UserCreationForm.Meta):
        model = User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Errors say what is wrong with a name or a password; a list of all rules helps nobody.
        for field in self.fields.values():
            field.help_text = ""
        self.fields["password1"].help_text = _("At least 8 characters, and none that many people use.")

    def clean_username(self) -> str:
        name = self.cleaned_data["username"]
        check_username(name)
        return name


@method_decorator([sensitive_post_parameters(), never_cache], name="dispatch")
class SignUp(auth.RedirectURLMixin, CreateView):
    """Make an account and sign its owner in. `next` leads on, within this site only."""

    form_class = SignUpForm
    template_name = "registration/signup.html"
    next_page = "/"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return HttpResponseRedirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.save(commit=False)  # hashes the password: too slow to do in a transaction
        with transaction.atomic():
            user.save()
            login(self.request, user, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponseRedirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**{self.redirect_field_name: self.get_redirect_url(), **kwargs})


class PasswordChange(auth.PasswordChangeView):
    """Change the password. This session goes on under a new key; the person's others end."""

    success_url = reverse_lazy("password_change_done")

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.save(commit=False)
        session = self.request.session
        # The new password, the session that knows it and the row that finds this session are
        # one commit: in between, this session's sockets would be found to have lost it.
        with transaction.atomic():
            user.save(update_fields=["password"])
            old = session.session_key or ""
            update_session_auth_hash(self.request, user)
            session.save()
            move_login(old, session.session_key or "")
        return HttpResponseRedirect(self.get_success_url())
