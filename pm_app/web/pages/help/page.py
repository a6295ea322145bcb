"""Help pages: a list of topics, and each topic of the documentation."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Final

from fastapi import APIRouter, HTTPException, Request, Response
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from pm_app.docs import TOPICS, read_topic
from pm_app.web.context import Page, PageContext

_TOPIC_LINK: Final = re.compile(r"^([\w-]+)\.md(?=#|$)")
_TABLE: Final = (
    '<div class="wide" tabindex="0" role="region" aria-label="Table {number}">'
    '<table class="plain">\n'
)


def add_help(router: APIRouter, context: PageContext) -> None:
    """The list of topics, and an address for each."""

    @router.get("/help")
    def list_topics(request: Request) -> Response:
        return context.show(request, HELP_PAGE, topics=TOPICS, topic="", text="")

    @router.get("/help/{topic}")
    def show_topic(topic: str, request: Request) -> Response:
        if topic not in TOPICS:
            raise HTTPException(404)
        title, text = _rendered(topic)
        return context.show(
            request, HELP_PAGE, topics=TOPICS, topic=topic, title=title, text=Markup(text)
        )


@cache
def _rendered(topic: str) -> tuple[str, str]:
    """Title and HTML of a topic; what looks like HTML in it is text."""
    heading, _, body = read_topic(topic).partition("\n")
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(body)
    _adapt(tokens)
    return heading.removeprefix("# "), markdown.renderer.render(tokens, markdown.options, {})


def _adapt(tokens: Sequence[Token]) -> None:
    """Anchors for headings, addresses of pages for links, regions that scroll for wide parts."""
    tables = 0
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(tokens[index + 1].content))
        elif token.type == "fence":
            token.info = ""
            token.attrSet("tabindex", "0")
        elif token.type == "th_open" and not tokens[index + 1].content:
            # A heading that says nothing is none.
            token.tag = tokens[index + 2].tag = "td"
        elif token.type in ("table_open", "table_close"):
            opens = token.type == "table_open"
            tables += opens
            token.type, token.tag = "html_block", ""
            token.content = _TABLE.format(number=tables) if opens else "</table></div>\n"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _TOPIC_LINK.sub(r"/help/\1", str(child.attrGet("href"))))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")


HELP_PAGE: Final = Page("help", "/help", add_help, title="Help")
