from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from chat.emit import emit


@login_required
@require_POST
def close_ticket(request: HttpRequest, desk: str) -> HttpResponse:
    ticket = {"desk": desk, "title": request.POST["title"]}
    emit("/tickets", "ticket:closed", ticket, to=desk)
    return HttpResponse(status=204)
