"""What the tests are written with: real servers, real clients, a proxy between them."""

from .client import Client, Refused
from .history import Finding, History, check
from .proxy import Proxy
from .server import Person, Server

__all__ = ["Client", "Finding", "History", "Person", "Proxy", "Refused", "Server", "check"]
