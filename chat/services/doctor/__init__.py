"""What may be wrong with a site, and what to do about it: read by `manage.py doctor`."""

from . import database, settings, site
from .findings import Finding, Level

__all__ = ["Finding", "Level", "database", "settings", "site"]
