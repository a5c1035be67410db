"""Names people choose: one line of plain letters, and never what reads as someone else's."""

from __future__ import annotations

import re

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

LONGEST = 40
SHAPE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")

# Drawn alike in many fonts. Letters of other scripts are left out by SHAPE: they have far
# more of these.
ALIKE = ("lI1", "oO0")

# What would read as the site speaking. (`system` has an account, so nobody else gets it.)
RESERVED = {"admin", "administrator", "all", "everyone", "here", "moderator", "root", "staff", "support"}


def check_username(name: str) -> None:
    """Raises `ValidationError` where a new person may not have this name."""
    if not SHAPE.fullmatch(name):
        raise ValidationError(
            _(
                "Use up to %(longest)d letters (a–z), digits, dots, hyphens and underscores, "
                "beginning with a letter or a digit."
            )
            % {"longest": LONGEST}
        )
    if name.lower() in RESERVED or _is_taken(name):
        raise ValidationError(_("That name, or one that looks like it, is taken."))


def _is_taken(name: str) -> bool:
    alike = "".join(f"[{_variants(letter)}]" for letter in name)
    return get_user_model().objects.filter(username__regex=rf"^{alike}$").exists()


def _variants(letter: str) -> str:
    """Every character that a reader may take for this one, as a character class."""
    groups = [group for group in ALIKE if letter in group]
    return re.escape("".join(sorted({letter.lower(), letter.upper(), *"".join(groups)})))
