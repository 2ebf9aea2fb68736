"""HTML as a tree to ask: what a reader sees, without the layout around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "input", "link", "hr"}


@dataclass
class Node:
    """An element: its tag, attributes and children, text among them."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    def all(self, wanted: str = "", **attributes: str) -> list[Node]:
        """Return elements below, in order: ``tag``, ``.class``, ``tag.class``, by attributes."""
        tag, *classes = wanted.split(".")
        found = []
        for child in self.children:
            if isinstance(child, Node):
                own = child.attributes.get("class", "").split()
                if (
                    (not tag or child.tag == tag)
                    and set(classes) <= set(own)
                    and all(
                        child.attributes.get(name.replace("_", "-")) == value
                        for name, value in attributes.items()
                    )
                ):
                    found.append(child)
                found += child.all(wanted, **attributes)
        return found

    def one(self, wanted: str = "", **attributes: str) -> Node:
        """Return the only such element."""
        (found,) = self.all(wanted, **attributes)
        return found

    @property
    def text(self) -> str:
        """All text below, white space run together."""
        parts = [one if isinstance(one, str) else one.text for one in self.children]
        return " ".join(" ".join(parts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("document")]

    def handle_starttag(  # type: ignore[explicit-override]
        self, tag: str, attrs: list[tuple[str, str | None]]
    ) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:  # type: ignore[explicit-override]
        if tag in VOID or (
            (self.get_starttag_text() or "").startswith(f"<{tag}")
            and (self.get_starttag_text() or "").endswith("/>")
        ):
            return
        assert self.open[-1].tag == tag, f"</{tag}> closes {[node.tag for node in self.open]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:  # type: ignore[explicit-override]
        self.open[-1].children.append(data)


def parse(html: str) -> Node:
    """Return a document's tree; elements that do not close in order are an error."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert len(reader.open) == 1, [node.tag for node in reader.open]
    return reader.open[0]
