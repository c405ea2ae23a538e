"""Small pieces of HTML with the front end's own colours; meaning never lives in colour alone."""

from __future__ import annotations

import html
import re

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
    "color:inherit;white-space:normal;max-width:36em!important;overflow-wrap:anywhere}"
    ".rl th{font-weight:600;border-bottom-width:2px!important;white-space:nowrap}"
    ".rl .n{text-align:right!important;white-space:nowrap}"
    ".rl .m{color:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,#777))}"
    ".rl pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0;padding:6px 0;background:transparent;color:inherit;"
    "font-family:inherit;font-size:13px;border:0}"
    "</style>"
)
LONGEST = 20_000
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def safe(text: str, limit: int = LONGEST) -> str:
    """Return the text without terminal escapes, bidirectional overrides and lone surrogates, cut with a note when too long."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > limit:
        text = f"{text[:limit]}\n… ({len(text) - limit:,} more characters)"
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).encode("utf-8", "replace").decode("utf-8")


def escape(text: str, limit: int = LONGEST) -> str:
    """Return the text so that HTML shows it as it is."""
    return html.escape(safe(text, limit), quote=True)


def pre(text: str) -> str:
    """Return the text as a block that keeps its line breaks."""
    return f"<pre>{escape(text)}</pre>"


def note(text: str) -> str:
    """Return a line in the front end's muted colour."""
    return f'<div class="m">{escape(text)}</div>'
