from typing import Any

from django.utils import timezone
from msgspec import structs

from chat.errors import EventError
from chat.namespace import Next, Socket
from chat.wire.packets import Event


class OfficeHours:
    def __init__(self, opens: int, closes: int) -> None:
        self.opens, self.closes = opens, closes

    async def connect(self, socket: Socket) -> None:
        if not self.opens <= timezone.localtime().hour < self.closes:
            raise EventError("unavailable", f"Come back between {self.opens} and {self.closes}.")

    async def __call__(self, socket: Socket, event: Event, next: Next) -> Any:
        await self.connect(socket)
        return await next(socket, event)


async def tidy_title(socket: Socket, event: Event, next: Next) -> Any:
    if event.name != "ticket:open" or not isinstance(event.data, dict):
        return await next(socket, event)
    title = str(event.data.get("title", "")).strip()
    answer = await next(socket, structs.replace(event, data={**event.data, "title": title}))
    return {**answer, "at": timezone.now().isoformat()}
