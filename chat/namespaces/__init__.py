"""The namespaces of this app, one file each."""

from . import chat

__all__ = ["chat"]
