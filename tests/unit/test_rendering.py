"""Markup becomes safe HTML, in bounded time and space; everything else stays as it was typed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.services import rendering
from chat.services.rendering import mentions, render

FULL = 16 * 1024  # bytes a body may have


@pytest.mark.parametrize(
    "body",
    [
        "hello",
        "2 * 3 = 6, snake_case_name, a [note], C:\\temp",
        "two\nlines\n\nand a paragraph",
        "a < b && b > c",
        "www.example.com and someone@example.com",
        "~ tilde, `one backtick",
        "#general is a room",
        "-1 is less than 0",
        "@alice: hi",
    ],
)
def test_a_body_without_markup_has_no_html(body: str) -> None:
    assert render(body) == ""


@pytest.mark.parametrize(
    ("body", "html"),
    [
        ("**bold** and *it*", "<p><strong>bold</strong> and <em>it</em></p>"),
        ("~~gone~~", "<p><s>gone</s></p>"),
        ("*one*\ntwo", "<p><em>one</em><br>\ntwo</p>"),
        ("`a < b`", "<p><code>a &lt; b</code></p>"),
        ("```py\nx = 1\n```", '<pre><code class="language-py">x = 1\n</code></pre>'),
        ("> so it is", "<blockquote>\n<p>so it is</p>\n</blockquote>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("7. seven", '<ol start="7">\n<li>seven</li>\n</ol>'),
        ("\\*as it is\\*", "<p>*as it is*</p>"),
        ("text\n---", "<p>text</p>\n<hr>"),
    ],
)
def test_markup_becomes_html_and_line_breaks_are_kept(body: str, html: str) -> None:
    assert render(body).strip() == html


@pytest.mark.parametrize(
    ("body", "address"),
    [
        ("see https://a.example/b?c=d_e_f.", "https://a.example/b?c=d_e_f"),
        ("[x](http://a.example)", "http://a.example"),
        ("<https://a.example>", "https://a.example"),
        ("mailto:eve@a.example", "mailto:eve@a.example"),
    ],
)
def test_a_link_opens_apart_and_tells_nothing_of_where_it_was(body: str, address: str) -> None:
    assert f'<a href="{address}" target="_blank" rel="noopener nofollow">' in render(body)


@pytest.mark.parametrize(
    "body",
    [
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](vbscript:x)",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](file:///etc/passwd)",
        "[x](ftp://a.example)",
        "[x](//a.example)",
        "[x](/admin/logout)",
        "[x](#top)",
        "<javascript:alert(1)>",
    ],
)
def test_only_web_and_mail_addresses_become_links(body: str) -> None:
    assert "<a" not in render(f"{body} **bold**")


class Tags(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def check_safe(html: str) -> None:
    tags = Tags()
    tags.feed(html)
    for tag, attributes in tags.found:
        assert tag in rendering.TAGS, html
        assert attributes.keys() <= {"href", "title", "target", "rel", "start", "class"}, html
        if tag == "a":
            assert (attributes["href"] or "").lower().startswith(("http://", "https://", "mailto:")), html


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "![x](https://a.example/pixel.png)",
        '[x](http://a.example/"onmouseover="alert(1))',
        "[x](http://a.example 'title\" onclick=\"alert(1)')",
        '```"><img src=x onerror=alert(1)>\nx\n```',
        "`</code><script>alert(1)</script>`",
        "<http://a.example/?<script>alert(1)</script>>",
        "http://a.example/<script>alert(1)</script>",
        "[<script>alert(1)</script>](http://a.example)",
        "[a](http://a.example)<style>*{display:none}</style>",
        "<!-- --><iframe src=javascript:alert(1)>",
    ],
)
def test_html_scripts_and_images_in_a_body_are_text(attack: str) -> None:
    html = render(f"{attack}\n\n**bold**")
    assert "<strong>bold</strong>" in html
    check_safe(html)


@given(st.text(alphabet="*_`~[]()<>\\!&\"'#-+=:/. \n\tahtps1é\x01", max_size=200))
def test_whatever_is_typed_the_html_is_safe(body: str) -> None:
    check_safe(render(body))


@given(st.text(alphabet="abc .,!?\n", max_size=200))
def test_plain_words_are_found_plain_without_parsing(body: str) -> None:
    assert not rendering.has_markup(body)


def test_html_that_would_not_fit_is_left_out() -> None:
    # Each control character of one byte is six in JSON.
    assert render("*a* " + "\x01" * 10_000)
    assert render("*a* " + "\x01" * 12_000) == ""
    links = " ".join(f"http://a.example/{number}" for number in range(100))
    assert len(json.dumps(render(links))) < rendering.LARGEST


def test_tables_are_off() -> None:
    assert "<table" not in render("|a|b|\n|-|-|\n|**c**|d|")


def full(piece: str) -> str:
    """A body of full length made of `piece`."""
    return (piece * (FULL // len(piece) + 1))[:FULL]


def dearest(piece: str) -> str:
    """The same, but with as many delimiters and links as are still parsed, and then words."""
    times = rendering.DELIMITERS // max(1, len(rendering.DELIMITER.findall(piece)))
    if count := len(rendering.ADDRESS.findall(piece)):
        times = min(times, rendering.ADDRESSES // count)
    return (piece * times)[:FULL].ljust(FULL, "a")


PIECES = [
    *(
        "[",
        "]",
        "*",
        "_",
        "~",
        "`",
        ">",
        "> ",
        "- ",
        "1. ",
        "\\",
        "](",
        "[a](",
        "[](",
        "![",
        "<",
        "#",
        "-",
        "\n",
    ),
    *("**a ", "*a **b ", "_a_ ", "a*", "*a", "~~a", "`a", "`` ` ", "[[a]", "[a](<", '[a](b "', "***", "*_~~"),
    *(
        "http://",
        "http://[",
        "http://(",
        "http://a.",
        "http://-",
        "http://a/((",
        "https://a.b/(",
        "mailto:a@",
    ),
    *(
        "<http://a",
        "//",
        "ftp://[",
        "```\n",
        "> - ",
        "- > ",
        "- a\n",
        "  - a\n",
        ">\n",
        "_>[",
        "\n[*",
        "[*~",
        "  \n",
    ),
]


@pytest.mark.parametrize("shape", [full, dearest])
def test_no_body_takes_long_to_render(shape: Callable[[str], str]) -> None:
    # Measured on a busy core: 0.16 s for the worst of these ("-["), 1 ms for 16 KiB of words.
    # Without the bounds it was 0.3 s ("_>[") and 2.2 s ("http://["). A core that is shared counts
    # several times as much for the same work.
    for piece in PIECES:
        began = time.process_time()
        render(shape(piece))
        took = time.process_time() - began
        assert took < 1.5, (piece, took)


def test_deep_nesting_ends_early() -> None:
    bodies = [
        "".join(">" * depth + "a\n" for depth in range(1, 170)),
        "".join("  " * depth + "- a\n" for depth in range(120)),
        "*a " * 500 + "a* " * 500,
        "[" * 900 + "a" + "](b)" * 400,
        "".join("`" * length + " " for length in range(1, 60)),
    ]
    for body in bodies:
        began = time.process_time()
        html = render(body)
        assert time.process_time() - began < 0.5
        assert html.count("<blockquote>") < 25 and html.count("<ul>") < 25


def test_all_short_runs_of_delimiters_render_safely() -> None:
    for run in itertools.product("*_[]`>~(<h", repeat=3):
        check_safe(render("".join(run) * 20 + " a"))


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("@alice and @bob-2", ["alice", "bob-2"]),
        ("(@alice), @bob.", ["alice", "bob"]),
        ("@alice @alice", ["alice"]),
        ("mail alice@example.com", []),
        ("@ nobody", []),
        ("a @first.last!", ["first.last"]),
    ],
)
def test_mentions_are_names_behind_an_at_sign(body: str, names: list[str]) -> None:
    assert mentions(body) == names


def test_a_message_mentions_twenty_people_at_most() -> None:
    assert len(mentions(" ".join(f"@p{number}" for number in range(500)))) == 20


@pytest.mark.parametrize("body", ["****", "***", "well, ****!", "(****) and (*****)", "_****_ said ****"])
def test_masked_words_are_no_markup(body: str) -> None:
    html = render(body)
    assert "<hr" not in html and "<strong" not in html
    assert html == "" or "****" in html
