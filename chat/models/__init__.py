from .access import Login, Token
from .messages import DeadLetter, Mention, Message
from .moderation import Ban, Report
from .presence import LastSeen, Presence, Process
from .queues import Lease
from .rooms import SLOWEST, SLUG_PATTERN, Membership, Room, new_epoch

__all__ = [
    "SLOWEST",
    "SLUG_PATTERN",
    "Ban",
    "DeadLetter",
    "LastSeen",
    "Lease",
    "Login",
    "Membership",
    "Mention",
    "Message",
    "Presence",
    "Process",
    "Report",
    "Room",
    "Token",
    "new_epoch",
]
