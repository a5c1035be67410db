"""The namespaces of this app, one file each."""

from . import chat, orders

__all__ = ["chat", "orders"]
