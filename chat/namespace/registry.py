"""The namespaces of the site: each is found at `/ws/PATH/`."""

from __future__ import annotations

import re
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

from .namespaces import Namespace

N = TypeVar("N", bound=type[Namespace])

_registered: dict[str, type[Namespace]] = {}


def register(namespace: N) -> N:
    """Give a namespace its address. For classes in the `namespaces` module of an installed app."""
    path = getattr(namespace, "path", "")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", path):
        raise ImproperlyConfigured(
            f"{namespace.__name__}.path is {path!r}; it is 1 to 64 of a-z, 0-9, `.`, `_` and `-`"
        )
    other = _registered.setdefault(path, namespace)
    if (other.__module__, other.__qualname__) != (namespace.__module__, namespace.__qualname__):
        taken = f"/{path} is {other.__module__}.{other.__qualname__} already"
        raise ImproperlyConfigured(f"{taken}; give {namespace.__name__} another path")
    return namespace


def paths() -> list[str]:
    """The paths that the installed apps register."""
    autodiscover_modules("namespaces")
    return sorted(_registered)


def discover() -> list[Namespace]:
    """One of each namespace that the installed apps register."""
    return [_registered[path]() for path in paths()]
