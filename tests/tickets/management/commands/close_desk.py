from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from chat.emit import emit


class Command(BaseCommand):
    help = "Tell whoever waits at a desk that it closes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("desk")

    def handle(self, *, desk: str, **options: Any) -> None:
        emit("/tickets", "desk:closed", {"desk": desk}, to=desk)
