"""`%routelab export`: the winner, or an arm, as a file for routelab or for another router, with what that file cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.notebook.flags import Flag, Line, anything

if TYPE_CHECKING:
    from routelab.config import RouteConfig
    from routelab.fleet import Fleet
    from routelab.lab.compare import Comparison
    from routelab.notebook.bench import Bench
    from routelab.notebook.sheet import Sheet

TARGETS: Mapping[str, str] = {
    "routelab": "Router.from_yaml runs it",
    "litellm": "LiteLLM's proxy",
    "vllm-sr": "vLLM Semantic Router",
}


def target(given: str) -> str:
    """Return a target's name; ConfigError with the nearest one."""
    if given not in TARGETS:
        near = suggest(given, TARGETS)
        raise ConfigError(
            f"--to: unknown target '{given}'{'' if near is None else '; ' + near}", hint=f"one of {', '.join(TARGETS)}"
        )
    return given


FLAGS = (
    Flag(
        long="--from",
        value="NAME",
        read=anything,
        help="an arm, or a variable with a Comparison, an arm or a RouteConfig",
    ),
    Flag(long="--to", value="TARGET", help=f"{', '.join(TARGETS)} (default: routelab)"),
)


def export(bench: Bench, path: Path, line: Line) -> Sheet:
    """Write what the line names and return what was written; nothing is written when there is no winner or no way to say it."""
    from routelab.lab.export import runnable, write_config, write_winner

    to = target(line.get("to", "routelab"))
    comparison, name, config = _source(bench, line.get("from"))
    if comparison is None:
        assert config is not None
        fleet = _fleet(bench, config)
        write_config(config, path, to=to, fleet=fleet)
        return _written(path, name or config.name, config, to, fleet)
    winner = comparison.winner()
    chosen = winner if name is None else comparison[name]
    if chosen is None:
        raise DataError(
            f"%routelab export: there is no winner: {comparison.why}",
            hint=f"--from ARM writes one of {', '.join(a.name for a in comparison.arms)}",
        )
    config = runnable(chosen)
    fleet = _fleet(bench, config)
    write_winner(comparison, path, to=to, arm=name, fleet=fleet)
    confirmed = winner is not None and winner.name == chosen.name
    said = f"{chosen.name}; {comparison.why}" if confirmed else f"{chosen.name}, unconfirmed"
    return _written(path, said, config, to, fleet)


def _source(bench: Bench, given: Any) -> tuple[Comparison | None, str | None, RouteConfig | None]:
    """Return a comparison with an arm's name (None: its winner), or a name with its config."""
    from routelab.config import RouteConfig
    from routelab.lab.compare import Arm, Comparison

    latest: Comparison | None = bench.comparison
    if given is None:
        given = bench.settings.arm if latest is None else latest
    if isinstance(given, str) and given in bench.names:
        given = bench.names[given]
    if isinstance(given, Comparison):
        return given, None, None
    if isinstance(given, Arm):
        if latest is not None and any(given is arm for arm in latest.arms):
            return latest, given.name, None
        given = given.config
    if isinstance(given, str) and latest is not None and given in [a.name for a in latest.arms]:
        return latest, given, None
    if isinstance(given, (str, RouteConfig)):
        name, config = bench.arm(given)
        return None, name, config
    raise ConfigError(f"--from: an arm or a Comparison is wanted, not a {type(given).__name__}")


def _fleet(bench: Bench, config: RouteConfig) -> Fleet | None:
    """Return the notebook's fleet for a config that names none of its own and asks nobody outside it."""
    known = config.fleet is None and all(name in bench.fleet.names for name in config.names)
    return bench.fleet if known else None


def _written(path: Path, said: str, config: RouteConfig, to: str, fleet: Fleet | None) -> Sheet:
    from routelab.lab.targets import export as exported
    from routelab.notebook.sheet import sheet

    if to == "routelab":
        return sheet(f"wrote {path}: {said}")
    made = exported(config, to=to, fleet=fleet)
    beside = [f"wrote {path.with_name(name)} (belongs beside it)" for name in made.files]
    return sheet(f"wrote {path} for {TARGETS[to]}: {said}", *beside, made.table())
