"""One line of output that changes in place, from any thread, and is static at the end: in a notebook, or in a terminal.

No widget: a saved notebook keeps the last state as plain HTML, and nbclient keeps updates that come late.
"""

from __future__ import annotations

import contextvars
import threading
import uuid
from typing import Any, TextIO

from routelab.present.html import escape, framed, safe


class Live:
    """A line in the notebook's output that can be rewritten."""

    def __init__(self, shell: Any, *, shown: bool = True) -> None:
        # A terminal cannot rewrite what it printed, so there only the last state is shown.
        self._moving = shown and getattr(shell, "kernel", None) is not None
        self._shown = shown
        self._shell = shell
        self._id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._text: str | None = None

    def put(self, text: str, *, share: float | None = None, last: bool = False) -> None:
        """Show the text; `share` draws a bar from 0 to 1, which the last state has no more."""
        with self._lock:
            if text == self._text or not self._shown or (not self._moving and not last):
                return
            bar = "" if share is None or last else f'<progress value="{share:.3f}" max="1"></progress> '
            html = framed(f'<div class="m">{bar}{escape(text)}</div>')
            data = {"text/plain": safe(text), "text/html": html}
            # A change belongs to the cell that runs now, and not to the one that this job was started from: a runner without
            # a browser listens to the running cell only. In a context of its own the kernel knows no other.
            context = contextvars.copy_context() if self._text is None else contextvars.Context()
            context.run(self._publish, data, update=self._text is not None)
            self._text = text

    def _publish(self, data: dict[str, str], *, update: bool) -> None:
        self._shell.display_pub.publish(data=data, metadata={}, transient={"display_id": self._id}, update=update)

    def begin(self) -> None:
        """Let the next text come as a new output, also of a line that was not shown until now."""
        with self._lock:
            self._shown = True
            self._moving = getattr(self._shell, "kernel", None) is not None
            self._text = None


class Terminal:
    """A line in a terminal that can be rewritten; where that is none (a file, a pipe), nothing is written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._lock = threading.Lock()

    def put(self, text: str, *, share: float | None = None, last: bool = False) -> None:
        """Write the text over the one before; after the last one, the next output begins on a line of its own."""
        if not self._shown:
            return
        with self._lock:
            self._stream.write(f"\r{safe(text)}\x1b[K" + ("\n" if last else ""))
            self._stream.flush()


def beside(widget: Any) -> None:
    """Let the widget's messages be handled where the front end sends them: in JupyterLab on a thread beside the running cell.

    ipykernel 7.4 sends them back to the shell that last wrote to the widget, which is the main one, where a click waits for the
    cell to end. Kernels that do not do so are left as they are, and so are front ends that know no such thread.
    """
    if hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = lambda data, default: default
