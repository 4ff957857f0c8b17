"""A reader of the pages that notebooks are shown: strict where browsers forgive."""

import re
from html import unescape
from html.parser import HTMLParser

INSIDE = {
    "div": {"", "div", "details"},
    "p": {"div", "details", ""},
    "b": {"p"},
    "details": {"div"},
    "summary": {"details"},
    "table": {"div"},
    "thead": {"table"},
    "tbody": {"table"},
    "tr": {"thead", "tbody"},
    "th": {"tr"},
    "td": {"tr"},
    "br": {"th"},
    "small": {"th"},
}
"""Every element that a page may have, and where it may stand. No script, no style sheet, nothing
that is loaded."""
ATTRIBUTES = {"class", "style", "scope", "open"}
COLOUR = re.compile(r"color|background|#[0-9a-f]{3}|rgb|url|expression", re.IGNORECASE)
CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Page(HTMLParser):
    """A page, read. rows: the texts of each row's cells; notes: what is small."""

    def __init__(self, html):
        super().__init__(convert_charrefs=False)
        assert not CHARACTER.search(html), "a character that HTML does not allow"
        self.open, self.rows, self.text, self.titles, self.notes = [], [], "", [], []
        self.feed(html)
        self.close()
        assert self.open == [], f"{self.open} is not closed"
        assert self.rawdata == ""

    def handle_starttag(self, tag, attrs):
        parent = self.open[-1] if self.open else ""
        assert tag in INSIDE, f"<{tag}>"
        assert parent in INSIDE[tag], f"<{tag}> in <{parent}>"
        names = [name for name, _ in attrs]
        assert set(names) <= ATTRIBUTES, names
        assert len(set(names)) == len(names), names
        assert not COLOUR.search(dict(attrs).get("style") or "")
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        assert "<" not in data, data
        assert "&" not in data, data
        self._said(data)

    def handle_entityref(self, name):
        assert name in ("lt", "gt", "amp", "quot"), name
        self._said(unescape(f"&{name};"))

    def handle_charref(self, name):
        self._said(unescape(f"&#{name};"))

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl):
        raise AssertionError(f"a declaration: {decl}")

    def handle_pi(self, data):
        raise AssertionError(f"an instruction: {data}")

    def _said(self, data):
        self.text += data
        if self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.open[-1] in ("b", "summary"):
            self.titles.append(data)
        elif self.open[-1] == "small":
            self.notes.append(data)


def shown(thing):
    """What a notebook shows of something, read; it is of bounded size."""
    html = thing._repr_html_()
    html.encode()
    assert len(html) < 200_000
    return Page(html)
