"""What a page links, shows and names."""

from __future__ import annotations

from html.parser import HTMLParser


class Seen(HTMLParser):
    """The addresses, pictures and identifiers of a page, and whether its tags close in order."""

    VOID = frozenset({"meta", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.alts: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [str(given[name]) for name in ("src", "href") if name in given]
        self.alts += [str(given.get("alt", ""))] if tag == "img" else []
        self.ids += [str(given["id"])] if "id" in given else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A line of an axis: nothing in it."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @property
    def beside(self) -> list[str]:
        """The addresses of files beside the page."""
        return [one for one in self.addresses if not one.startswith(("data:", "#"))]


def seen(html: str) -> Seen:
    """What is in a page whose tags close, whose identifiers differ and whose anchors exist."""
    found = Seen()
    found.feed(html)
    assert not found.open and len(set(found.ids)) == len(found.ids)
    assert {one[1:] for one in found.addresses if one.startswith("#")} <= set(found.ids)
    return found
