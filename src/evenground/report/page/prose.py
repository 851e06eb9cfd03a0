"""The part of Markdown that notes and captions use, as HTML."""

from __future__ import annotations

import re

from markupsafe import Markup, escape


def paragraphs(text: str) -> Markup:
    """Paragraphs with `code` and **strong** words; everything else is escaped."""
    return Markup("\n").join(
        Markup("<p>{}</p>").format(inline(part)) for part in text.split("\n\n") if part
    )


def inline(text: str) -> Markup:
    """The same without paragraphs."""
    # What Markdown needs to show a text as it is: HTML has an escape of its own.
    for written, meant in (("\\|", "|"), ("\\[", "["), ("&lt;", "<")):
        text = text.replace(written, meant)
    safe = str(escape(text))
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    # Safe: the text was escaped above, and these are the only tags added since.
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe))
