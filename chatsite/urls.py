"""Addresses of pages. Those of sockets are in chat/routing.py."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import path
from django.views.generic import RedirectView

from chat.views import accounts, console, health, metrics, orders, pages, personal

urlpatterns = [
    path("", pages.home, name="home"),
    path("rooms/<str:slug>/", pages.room, name="room"),
    path("orders/", orders.home, name="orders"),
    path("orders/<str:slug>/", orders.queue, name="queue"),
    path("console/", console.console, name="console"),
    path("console/<str:part>/", console.console, name="console-part"),
    path("accounts/login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth.LogoutView.as_view(), name="logout"),
    path("accounts/signup/", accounts.SignUp.as_view(), name="signup"),
    path("accounts/password_change/", accounts.PasswordChange.as_view(), name="password_change"),
    path(
        "accounts/password_change/done/",
        auth.PasswordChangeDoneView.as_view(),
        name="password_change_done",
    ),
    path("accounts/data/", personal.data, name="personal_data"),
    # The admin's own would end the sockets of the session that changes its password.
    path("admin/password_change/", RedirectView.as_view(pattern_name="password_change")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
]
