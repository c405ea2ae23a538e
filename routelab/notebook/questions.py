"""`%route What is the capital of France?`: a question mark at a line's end is IPython's help, so such lines are rewritten before it looks."""

from __future__ import annotations

import re

# At a line's beginning, or after `name =`; `%route?` and `%route ?` stay what they are: help.
_QUESTION = re.compile(r"(\s*(?:[^\W\d][\w.]*\s*=\s*)?)%route[ \t]+(\S.*\?)[ \t]*(\n?)\Z")
_QUOTES = re.compile(r"\"\"\"|'''")


def questions(lines: list[str]) -> list[str]:
    r"""Return a cell's lines with each `%route` line that ends in a question mark spelled as the call that IPython makes of a magic.

    >>> questions(["x = %route Who are you?\n"])
    ["x = get_ipython().run_line_magic('route', 'Who are you?')\n"]
    """
    found = []
    inside = False
    for line in lines:
        match = None if inside else _QUESTION.match(line)
        if match is not None and match.group(2).strip("?").strip():
            before, text, end = match.groups()
            line = f"{before}get_ipython().run_line_magic('route', {text!r}){end}"
        elif len(_QUOTES.findall(line)) % 2:
            # A line of a text in triple quotes is not ours to rewrite.
            inside = not inside
        found.append(line)
    return found
