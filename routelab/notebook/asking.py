"""What a `%%route` line asks for, as one value: the table of flags, and the door through which a line becomes an `Ask`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from routelab.core.errors import ConfigError
from routelab.notebook import flags
from routelab.notebook.flags import Flag, Look

FLAGS = (
    Flag(
        long="--out",
        short="-o",
        value="NAME",
        read=flags.name,
        help="store the result in NAME and show only its header line",
    ),
    Flag(
        long="--over",
        short="-v",
        value="DATA",
        read=flags.anything,
        help="ask once for each row of a frame, list, file or data set",
    ),
    Flag(long="--limit", short="-n", value="N", read=flags.whole, help="only the first N rows"),
    Flag(
        long="--sample",
        value="N",
        read=flags.whole,
        help="N rows, always the same ones, spread over the tasks in proportion",
    ),
    Flag(long="--model", short="-m", value="ID", help="ask this model, whatever a strategy would choose"),
    Flag(long="--system", short="-s", value="TEXT", help="the system prompt; $name takes it from a variable"),
    Flag(long="--temperature", short="-t", value="X", read=flags.temperature, help="sampling temperature, 0 to 2"),
    Flag(long="--max-tokens", value="N", read=flags.whole, help="the longest answer, in tokens"),
    Flag(
        long="--score",
        value="NAME",
        read=flags.anything,
        help="a scorer (exact, number, contains, f1, ...), a function f(answer, prompt), or judge:MODEL",
    ),
    Flag(long="--dry-run", help="show the decision, tokens and worst-case cost; ask nobody"),
    Flag(long="--budget", value="USD", read=flags.amount, help="stop before this cell can spend more"),
    Flag(long="--no-cache", help="do not look into a cache"),
    Flag(long="--jobs", short="-j", value="N", read=flags.whole, help="how many prompts are asked at once"),
    Flag(long="--bg", help="return a Job at once; .result() waits, .cancel() stops"),
    Flag(long="--quiet", short="-q", help="show nothing"),
    Flag(long="--tag", value="K=V", read=flags.pair, repeat=True, help="a label in the log; may be repeated"),
    Flag(long="--no-template", help="leave {{...}} in the prompt as it is"),
)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A cell's wish. `arms`, `over` and `score` may be names or the values themselves (from `$name`); None where not given."""

    text: str
    arms: tuple[Any, ...] = ()
    out: str | None = None
    over: Any = None
    limit: int | None = None
    sample: int | None = None
    model: str | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    score: Any = None
    dry_run: bool = False
    budget: float | None = None
    no_cache: bool = False
    jobs: int | None = None
    bg: bool = False
    quiet: bool = False
    tag: tuple[tuple[str, str], ...] = ()
    no_template: bool = False

    @property
    def tags(self) -> dict[str, str]:
        """The labels for the log."""
        return dict(self.tag)


CONFLICTS = (
    ("limit", "sample", "--limit takes the first rows, --sample draws them from all"),
    ("dry_run", "bg", "a dry run asks nobody and is done at once"),
    ("dry_run", "score", "a dry run has no answers to score"),
)


def read_ask(line: str, cell: str | None, look: Look) -> Ask:
    """Return what a magic's line and body ask for; without a body the text stands on the line, after the flags.

    Raises ConfigError for flags that are unknown, do not fit, or exclude each other.
    """
    magic = "%route" if cell is None else "%%route"
    read = flags.read_line(line, FLAGS, look, magic=magic, text=cell is None)
    ask = Ask(text=read.text if cell is None else cell, arms=read.words, **read.given)
    for one, other, why in CONFLICTS:
        if one in read.given and other in read.given:
            named = " and ".join(f"--{name.replace('_', '-')}" for name in (one, other))
            raise ConfigError(f"{magic}: {named} exclude each other", hint=why)
    if ask.model is not None and ask.arms:
        raise ConfigError(
            f"{magic}: --model pins one model, so it leaves nothing to the arms", hint="drop --model, or the arms"
        )
    for name in ("limit", "sample"):
        if name in read.given and ask.over is None:
            raise ConfigError(f"{magic}: --{name} counts rows, so it needs --over DATA")
    doubled = next((arm for i, arm in enumerate(ask.arms) if arm in ask.arms[:i]), None)
    if doubled is not None:
        raise ConfigError(
            f"{magic}: the arm {doubled!r} is named twice", hint="an arm compared with itself says nothing"
        )
    return ask
