"""Handlers of events, and the data that their signatures let in."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from chat.errors import EventError
from chat.services import words

if TYPE_CHECKING:
    from .namespaces import Namespace
    from .sockets import Socket

BODY = 16 * 1024  #: bytes of UTF-8 in a message


@dataclass(frozen=True)
class Check:
    """In an `Annotated` parameter: called with the value, raises `EventError`."""

    test: Callable[[str, Any], None]


def check_body(field: str, body: str) -> None:
    if len(body) > BODY // 4 and len(body.encode()) > BODY:
        raise EventError("too_large", f"`{field}` is at most {BODY} bytes of UTF-8", field=field, limit=BODY)
    if not body.strip():
        raise EventError("bad_data", f"`{field}` needs a character that isn't white space", field=field)
    if not body.isascii() and words.without_piles(body) != body:
        raise EventError("bad_data", f"`{field}` has more than {words.MARKS} marks on a letter", field=field)


#: A room's or a queue's name. The first parameter of this type also orders a socket's events.
Slug = Annotated[
    str,
    Meta(
        pattern=r"\A[a-z0-9][a-z0-9._-]{0,63}\Z",
        description="a name of 1 to 64 of a-z, 0-9, `.`, `_` and `-`, the first a letter or digit",
    ),
]
ClientId = Annotated[
    str,
    Meta(pattern=r"\A[!-~]{1,64}\Z", description="1 to 64 printable ASCII characters without spaces"),
]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1, description="an integer from 0 on")]
Body = Annotated[str, Meta(description="text"), Check(check_body)]
Limit = Annotated[int, Meta(ge=1, description="an integer from 1 on")]


class Handler:
    """A function behind an event's name, and the shape that its signature gives the data.

    A plain function is called on the spot, past the middleware and the limit of events in
    work: for what comes often and does little. A coroutine function gets a task of its own.
    """

    __slots__ = ("checks", "descriptions", "direct", "function", "room", "shape", "whole", "writes")

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = _data_parameters(function)
        hints = get_type_hints(function, include_extras=True)
        self.function = function
        self.direct = not inspect.iscoroutinefunction(function)
        #: `**names: TYPE` takes data whose keys are not known beforehand.
        self.whole = any(each.kind is each.VAR_KEYWORD for each in parameters)
        self.shape: Any = self._shape(function.__name__, parameters, hints)
        names = [] if self.whole else [each.name for each in parameters]
        self.descriptions = {name: _description(hints[name]) for name in names}
        self.checks = [(name, check.test) for name in names for check in _extras(hints[name], Check)]
        self.room = next((name for name in names if hints[name] == Slug), None)
        self.writes = self.room is not None and "client_id" in names

    def _shape(self, name: str, parameters: list[inspect.Parameter], hints: dict[str, Any]) -> Any:
        if self.whole:
            # In a struct, since msgspec analyses any other type again at every call.
            whole = dict.__class_getitem__((Slug, hints[parameters[-1].name]))
            return msgspec.defstruct(name, [("data", whole)])
        fields: list[Any] = [
            (each.name, hints[each.name])
            if each.default is each.empty
            else (each.name, hints[each.name], each.default)
            for each in parameters
        ]
        return msgspec.defstruct(name, fields, kw_only=True)

    def call(self, namespace: Namespace, socket: Socket, data: Any) -> Any:
        """Check the data, then call. Raises `EventError` with the name of the wrong field."""
        if data is None:
            data = {}
        try:
            checked = msgspec.convert({"data": data} if self.whole else data, self.shape)
        except msgspec.ValidationError as error:
            raise self._refusal(data, str(error)) from None
        if self.whole:
            return self.function(namespace, socket, **checked.data)
        values = msgspec.structs.asdict(checked)
        for name, value in values.items():
            if type(value) is str and "\0" in value:  # PostgreSQL has no place for it
                raise EventError("bad_data", f"`{name}` has a NUL character", field=name)
        for name, test in self.checks:
            if values[name] is not None:
                test(name, values[name])
        return self.function(namespace, socket, **values)

    def room_of(self, data: Any) -> str | None:
        if self.room is None or not isinstance(data, dict):
            return None
        room = data.get(self.room)
        return room if isinstance(room, str) else None

    def _refusal(self, data: Any, message: str) -> EventError:
        if self.whole:
            return self._whole_refusal(data)
        if missing := re.search(r"missing required field `(\w+)`\Z", message):
            field, problem = missing[1], "is missing"
        elif place := re.search(r" - at `\$\.(\w+)[^`]*`\Z", message):
            field, problem = place[1], message[: place.start()]
        else:
            return EventError("bad_data", f"`data`: {message}", field="data")
        return EventError("bad_data", _explain(field, problem, self.descriptions.get(field)), field=field)

    def _whole_refusal(self, data: Any) -> EventError:
        """msgspec doesn't tell which key was wrong, so that each is tried."""
        for key, value in data.items() if isinstance(data, dict) else ():
            try:
                msgspec.convert({"data": {key: value}}, self.shape)
            except msgspec.ValidationError as error:
                field, problem = key[:64], str(error).partition(" - at ")[0]
                right = _description(Slug) if "regex" in problem else None
                return EventError("bad_data", _explain(field, problem, right), field=field)
        return EventError("bad_data", "`data` must be an object", field="data")


def _data_parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Those behind `self` and `socket`, each with a type: what the data is checked against."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    own, data = parameters[:2], parameters[2:]
    where = f"{function.__qualname__}{signature}"
    if len(own) < 2 or any(each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD) for each in own):
        raise TypeError(f"{where}: a handler takes `self`, `socket` and then the fields of the data")
    for each in data:
        if each.annotation is each.empty or each.kind is each.VAR_POSITIONAL:
            raise TypeError(f"{where}: `{each.name}` needs a type, against which the data is checked")
    return data


def _check_async(function: Callable[..., Any], mark: str) -> None:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__qualname__}: what has `@{mark}` is an `async def`")


def _extras(hint: Any, kind: type) -> list[Any]:
    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return [each for each in extras if isinstance(each, kind)]


def _description(hint: Any) -> str | None:
    """What a value of this type should be, also where it may be None."""
    for each in (hint, *get_args(hint)):
        for meta in _extras(each, Meta):
            return meta.description
    return None


def _explain(field: str, problem: str, right: str | None) -> str:
    if right is None:
        return f"`{field}`: {problem}"
    if problem == "is missing":
        return f"`{field}` is missing: it is {right}"
    got = re.search(r"got (`\w+`)", problem)
    return f"`{field}` must be {right}" + (f", got {got[1]}" if got else "")


def on_any(function: Callable[..., Any]) -> Callable[..., Any]:
    """Call a coroutine method `(socket, event, data)` with each event that has passed the
    middleware, before its handler. (Plain functions are called past both.)"""
    _check_async(function, "on_any")
    function.__dict__["any"] = True
    return function


def on_server(event: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a coroutine method `(data)` the listener of what `server_emit` says in other processes."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        _check_async(function, "on_server")
        function.__dict__.setdefault("server_events", []).append(event)
        return function

    return mark


def on(event: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a method the handler of an event; see `Handler` for what it may look like."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__dict__.setdefault("events", []).append(event)
        return function

    return mark
