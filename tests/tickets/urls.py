from django.urls import path

from chatsite.urls import urlpatterns as site

from .views import close_ticket

urlpatterns = [*site, path("tickets/<slug:desk>/close/", close_ticket)]
