from .access import Login, Token
from .messages import DeadLetter, Mention, Message
from .moderation import Ban, Report
from .presence import LastSeen, Presence, Process
from .queues import Lease
from .rooms import SLOWEST, SLUG_PATTERN, Former, Membership, Room, new_epoch
from .staff import Mute

__all__ = [
    "SLOWEST",
    "SLUG_PATTERN",
    "Ban",
    "DeadLetter",
    "Former",
    "LastSeen",
    "Lease",
    "Login",
    "Membership",
    "Mention",
    "Message",
    "Mute",
    "Presence",
    "Process",
    "Report",
    "Room",
    "Token",
    "new_epoch",
]
