"""The same rows by another name, for lists and permissions of their own."""

from __future__ import annotations

from .rooms import Membership


class Mute(Membership):
    """A membership of someone who may not write."""

    class Meta:
        proxy = True
