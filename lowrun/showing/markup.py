"""HTML that cannot be broken out of: what is not `Html` already is escaped when it goes into an element. Pure.

Text that a run wrote is made visible first (tails.py), so no control character, bidirectional override or byte that is
no UTF-8 gets into a page. JSON for a script element is ASCII, without `<`, `>` and `&` (HTML, 4.12.1.3: the text of a
script cannot be escaped otherwise).
"""

from __future__ import annotations

import html

from lowrun.kept.tails import visible

__all__ = ["Html", "embedded_json", "joined", "tag"]


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


def text(value: str) -> Html:
    """Return `value` as HTML that shows it; lines stay apart."""
    lines = (html.escape(visible(line), quote=True) for line in value.split("\n"))
    return Html("\n".join(lines))


def joined(*children: str) -> Html:
    """Return the children one after the other."""
    return Html("".join(child if isinstance(child, Html) else text(child) for child in children))


def tag(name: str, /, *children: str, **attributes: str | int) -> Html:
    """Return an element; `class_` is the attribute class, `aria_label` is aria-label."""
    words = "".join(f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"' for key, value in attributes.items())
    if name in ("img", "meta", "col"):
        return Html(f"<{name}{words}>")
    return Html(f"<{name}{words}>{joined(*children)}</{name}>")


def embedded_json(value: object) -> Html:
    """Return `value` as JSON that may stand in a script element."""
    import json

    plain = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Html(plain.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
