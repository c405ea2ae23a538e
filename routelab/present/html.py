"""Small pieces of HTML with the front end's own colours; meaning never lives in colour alone."""

from __future__ import annotations

import html
import re

from routelab.core.errors import visible

# GitHub strips styles and class names mean nothing there, so the mark-up must read well bare. JupyterLab and VS Code set these variables.
# JupyterLab aligns every output table to the right and stripes it with more specific rules than a class of ours, hence !important.
STYLE = (
    "<style>"
    ".rl{color:var(--jp-ui-font-color1,var(--vscode-editor-foreground,inherit));background:transparent;"
    "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;max-width:100%;overflow-x:auto}"
    ".rl table{border-collapse:collapse;margin:4px 0!important;background:transparent;font-variant-numeric:tabular-nums}"
    ".rl tr{background:transparent!important}"
    ".rl th,.rl td{border-bottom:1px solid var(--jp-border-color2,var(--vscode-panel-border,#8886))!important;"
    "padding:3px 14px 3px 0!important;text-align:left!important;vertical-align:top!important;background:transparent!important;"
    "color:inherit;white-space:normal;max-width:36em!important;overflow-wrap:break-word}"
    ".rl th{font-weight:600;border-bottom-width:2px!important;white-space:nowrap}"
    ".rl .n{text-align:right!important;white-space:nowrap}"
    ".rl .m{color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,#777))}"
    ".rl.rl pre{white-space:pre-wrap;overflow-wrap:break-word;word-break:normal!important;margin:4px 0;padding:4px 0;"
    "background:transparent;color:inherit;font-family:inherit!important;font-size:13px!important;line-height:1.45;border:0}"
    ".rl.rl pre.c,.rl.rl pre.c code{font-family:var(--jp-code-font-family,var(--vscode-editor-font-family,monospace))!important;"
    "background:transparent;color:inherit}"
    ".rl.rl pre.c{border-left:3px solid var(--jp-border-color2,var(--vscode-panel-border,#8886));padding:0 0 0 10px}"
    "</style>"
)
LONGEST = 20_000
# Front ends typeset what stands between two dollar signs as a formula, in every text/html that does not forbid it: "$5 or $6" would
# be garbled. MathJax 2 and 3 each have their own word for "leave this alone".
PLAIN = "tex2jax_ignore mathjax_ignore"
# On every cell of text: JupyterLab aligns cells to the right, and drops the style sheet of a notebook it does not trust yet.
LEFT = 'style="text-align:left"'
_FENCE = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```[ \t]*$\n?|\Z)", re.DOTALL | re.MULTILINE)


def safe(text: str, limit: int = LONGEST) -> str:
    """Return the text without terminal escapes, bidirectional overrides and lone surrogates, cut with a note when too long."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > limit:
        text = f"{text[:limit]}\n… ({len(text) - limit:,} more characters)"
    return visible(text)


def escape(text: str, limit: int = LONGEST) -> str:
    """Return the text so that HTML shows it as it is."""
    return html.escape(safe(text, limit), quote=True)


def framed(body: str, *, more: str = "") -> str:
    """Return HTML as an output of ours: the style sheet, the front end's colours, and no typesetting; `more` are further classes."""
    return f'<div class="rl {PLAIN}{" " + more if more else ""}">{STYLE}{body}</div>'


def pre(text: str) -> str:
    """Return the text as blocks that keep its line breaks; what a fence of three back quotes encloses is set as code.

    >>> pre("So:\\n```python\\nx < 1\\n```")
    '<pre>So:</pre><pre class="c"><code>x &lt; 1</code></pre>'
    """
    text = safe(text)
    blocks, at = [], 0
    for fence in _FENCE.finditer(text):
        blocks.append(("<pre>", text[at : fence.start()].strip("\n"), "</pre>"))
        blocks.append(('<pre class="c"><code>', fence.group(1).rstrip("\n"), "</code></pre>"))
        at = fence.end()
    blocks.append(("<pre>", text[at:] if at == 0 else text[at:].strip("\n"), "</pre>"))
    shown = [(head, said, tail) for head, said, tail in blocks if said] or [("<pre>", "", "</pre>")]
    return "".join(f"{head}{html.escape(said, quote=True)}{tail}" for head, said, tail in shown)


def note(text: str) -> str:
    """Return a line in the front end's muted colour."""
    return f'<div class="m {PLAIN}">{escape(text)}</div>'
