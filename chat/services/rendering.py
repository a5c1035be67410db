"""A body's markup as safe HTML.

markdown-it makes the HTML from a small Markdown that knows no HTML, images, tables or
references; nh3 then keeps only the few tags and attributes listed here, so that a mistake
in the first is caught by the second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, hr
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

# An entry has to fit a frame: as JSON, where a quote or a control character grows, more
# than this is left out and the body is shown as it was typed.
LARGEST = 64 * 1024

# Markup is only there where one of these is. Most bodies have no character that could begin it:
# looking for those alone takes 1 µs for a line, where the patterns together took 11.
BEGINS = re.compile(r"[*_`~\[\\:>#+0-9-]")
INLINE = re.compile(r"[*_`~\[\\]")
BLOCK = re.compile(r"^ {0,3}(?:[>#]|[-+] |-{3}|\d+[.)] )", re.MULTILINE)
LINK = re.compile(r"https?://|mailto:", re.IGNORECASE)

# What a parse costs grows with these. 16 KiB of "_>[" took 0.3 s, of "http://[" 2.2 s (what
# may be a link is looked at to the end of the body); within the bounds it is under 0.2 s.
DELIMITER, ADDRESS = re.compile(r"[*_`~\[\]>\n]"), re.compile(r"://|mailto:", re.IGNORECASE)
DELIMITERS, ADDRESSES = 2000, 100

MENTION = re.compile(r"(?<![\w@.+-])@([\w@.+-]{1,150})")
MENTIONS = 20  # people a message can mention; more would make it a broadcast

# A word that a filter has masked, and no emphasis: asterisks with no letter next to them.
MASKED = re.compile(r"(?<![^\W_])(?<!\*)\*{4,}(?![^\W_])")

TAGS = {
    *("p", "br", "strong", "em", "s", "code", "pre", "a", "blockquote", "ul", "ol", "li", "hr"),
    *("h1", "h2", "h3", "h4", "h5", "h6"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "code": {"class"}}
PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "softbreak", "hardbreak"}


def _parser() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True, "maxNesting": 20})
    markdown.enable(["linkify", "strikethrough"])
    markdown.disable(["image", "reference", "code", "lheading", "entity", "html_block", "html_inline"])
    markdown.inline.ruler.before("emphasis", "masked", _masked)
    markdown.block.ruler.at("hr", _rule, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    markdown.validateLink = lambda url: LINK.match(url) is not None  # type: ignore[method-assign]
    assert markdown.linkify is not None
    # Only what names its scheme is a link: a guess at "e.g.this" would cost every body a search.
    markdown.linkify.set({"fuzzy_link": False, "fuzzy_email": False}).add("ftp:", None).add("//", None)
    return markdown


def _masked(state: StateInline, silent: bool) -> bool:
    run = MASKED.match(state.src, state.pos)
    if run is None:
        return False
    if not silent:
        state.pending += run[0]
    state.pos = run.end()
    return True


def _rule(state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """A line of hyphens or underscores; one of asterisks is a masked word, too."""
    return state.src[state.bMarks[line] + state.tShift[line]] != "*" and hr(state, line, end, silent)


markdown = _parser()


def has_markup(body: str) -> bool:
    """Whether `render` may have something to do: cheap enough for the event loop."""
    if BEGINS.search(body) is None:
        return False
    return any(pattern.search(body) for pattern in (INLINE, BLOCK, LINK))


def render(body: str) -> str:
    """Safe HTML of the body; "" where it has no markup, costs too much or grows too large."""
    if not has_markup(body) or _is_costly(body):
        return ""
    tokens = markdown.parse(body)
    if _is_plain(tokens):
        return ""
    return clean(markdown.renderer.render(tokens, markdown.options, {}))


def clean(html: str) -> str:
    """What is safe of some HTML; of what `render` made that is all."""
    html = nh3.clean(
        html,
        tags=TAGS,
        attributes=ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
    html = html.strip()
    return html if len(msgspec.json.encode(html)) <= LARGEST else ""


def _is_costly(body: str) -> bool:
    return len(DELIMITER.findall(body)) > DELIMITERS or len(ADDRESS.findall(body)) > ADDRESSES


def _is_plain(tokens: Sequence[Token]) -> bool:
    """Whether nothing would look different: "2 * 3" and "snake_case" have no markup."""
    return all(token.type in PLAIN and _shows_all(token) for token in tokens)


def _shows_all(token: Token) -> bool:
    children = token.children or []
    if any(child.type not in PLAIN for child in children):
        return False
    return "".join(child.content or "\n" for child in children).split() == token.content.split()


def mentions(body: str) -> list[str]:
    """The names that follow an "@", each once; the first ones where there are too many."""
    found = dict.fromkeys(name.rstrip(".+-@") for name in MENTION.findall(body))
    return [name for name in found if name][:MENTIONS]
