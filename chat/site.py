"""Django's admin as this site shows it: unfold's pages, behind the site's own sign-in.

Not in `admin`: that registers its lists with this while it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

# unfold's pages run Alpine.js, which compiles the expressions in its attributes, and bring their
# colours in a <style>. Nothing inline is run even so: scripts come from files of this site alone.
LOOSER = {"script-src": ["'self'", "'unsafe-eval'"], "style-src": ["'self'", "'unsafe-inline'"]}


class StaffSite(UnfoldAdminSite):
    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:
        return csp_update(LOOSER)(super().admin_view(view, cacheable))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """There is one way in, which counts wrong passwords and knows a person's sessions."""
        if self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        if request.user.is_authenticated:
            raise PermissionDenied("this is for the staff alone")
        return redirect_to_login(request.GET.get("next", reverse("admin:index")), settings.LOGIN_URL)
