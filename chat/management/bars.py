"""Progress bars of commands that may take long, for who looks on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Opens a bar: `bar(what, total)` gives what tells it how far the work is.
Bar = Callable[[str, int], Callable[[int], None]]


@contextmanager
def bars(stderr: Any) -> Iterator[Bar]:
    """On stderr where that is a terminal; elsewhere they show nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, disable=not stderr.isatty()) as progress:

        def bar(what: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(what, total=total)
            return lambda done: progress.update(task, completed=done)

        yield bar
