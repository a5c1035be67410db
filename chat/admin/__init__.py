"""Django's admin for the chat: lists that stay fast, and acts that go through the services."""

from . import audit, messages, moderation, orders, people, rooms

__all__ = ["audit", "messages", "moderation", "orders", "people", "rooms"]
