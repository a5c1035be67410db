from chat.middleware import authenticated, rate_limit
from chat.namespace import Namespace, Slug, Socket, on, register


@register
class Tickets(Namespace):
    path = "tickets"
    middleware = (authenticated, rate_limit())

    @on("ticket:open")
    async def open_ticket(self, socket: Socket, desk: Slug, title: str) -> dict[str, str]:
        ticket = {"desk": desk, "title": title, "by": socket.user.name}
        await socket.to(desk).emit("ticket:opened", ticket)
        return ticket
