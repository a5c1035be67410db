"""How people look in templates."""

from __future__ import annotations

from django import template

HUES = 12  # the classes hue-0 … hue-11 of components.css

register = template.Library()


@register.filter
def hue(user_id: int) -> int:
    """The number of this person's colour; elements/people.js picks the same."""
    return user_id % HUES
