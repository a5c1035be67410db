from .access import Login, Token
from .messages import DeadLetter, Mention, Message
from .moderation import Ban, Report
from .rooms import SLUG_PATTERN, Membership, Room, new_epoch

__all__ = [
    "SLUG_PATTERN",
    "Ban",
    "DeadLetter",
    "Login",
    "Membership",
    "Mention",
    "Message",
    "Report",
    "Room",
    "Token",
    "new_epoch",
]
