"""What a browser would send of a page's form when nobody types anything: a page must be able to save what it shows."""

from __future__ import annotations

from html.parser import HTMLParser


class _Reader(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.action, self.inside, self.fields = action, False, list[tuple[str, str]]()
        self.select, self.options = "", list[tuple[str, bool]]()
        self.found = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attrs}
        if tag == "form" and at.get("action") == self.action and not self.found:
            self.inside = self.found = True
        if not self.inside or "disabled" in at:
            return
        if tag == "input" and at.get("name") and at.get("type") not in ("file", "submit", "button"):
            if at.get("type") not in ("checkbox", "radio"):
                self.fields.append((at["name"], at.get("value", "")))
            elif "checked" in at:
                self.fields.append((at["name"], at.get("value", "on")))
        elif tag == "select":
            self.select, self.options = at.get("name", ""), []
        elif tag == "option":
            self.options.append((at.get("value", ""), "selected" in at))
        elif tag == "textarea" and at.get("name"):
            self.fields.append((at["name"], ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        if tag == "select" and self.inside and self.options:
            chosen = next((value for value, on in self.options if on), self.options[0][0])
            self.fields.append((self.select, chosen))


def as_shown(page: str, action: str) -> dict[str, str]:
    """The fields of the first form with this action as the page fills them."""
    reader = _Reader(action)
    reader.feed(page)
    assert reader.found, f"no form with action {action}"
    return dict(reader.fields)
