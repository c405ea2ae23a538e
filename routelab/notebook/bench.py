"""What the magics of one notebook share: its settings, its lab, its arms, and what was returned last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routelab.core.errors import ConfigError, suggest
from routelab.notebook.settings import LOG, RouteLab
from routelab.notebook.template import Scope, value_of

if TYPE_CHECKING:
    from routelab.config import RouteConfig
    from routelab.fleet import Fleet
    from routelab.lab.session import Lab
    from routelab.notebook.jobs import Job
    from routelab.router import Router

ATTRIBUTE = "_routelab"
"""Where a shell keeps its bench: two shells in one process have two."""


class Bench:
    """One shell's session; the lab behind it is made when something first needs it, so that loading stays quick."""

    def __init__(self, shell: Any, settings: RouteLab) -> None:
        self.shell = shell
        self.settings = settings
        self.last: Any = None
        self.comparison: Any = None
        self.jobs: list[Job] = []
        self.matcher: Any = None
        self.routers: dict[tuple[str, str], Router] = {}
        self._arms: dict[str, RouteConfig] = {}
        self._fleet: Fleet | None = None
        self._lab: Lab | None = None
        self._retired: list[Lab] = []

    # Who answers, and where it is logged

    @property
    def fleet(self) -> Fleet:
        """The fleet in use: the one that was chosen, else ./fleet.yaml, else the practice models."""
        if self._lab is not None:
            return self._lab.fleet
        if self._fleet is None:
            from routelab.fleet import Fleet

            given = self.settings.fleet
            if not given and Path("fleet.yaml").is_file():
                given = "fleet.yaml"
            self._fleet = Fleet.practice() if given in ("", "practice") else Fleet.from_yaml(given)
        return self._fleet

    @fleet.setter
    def fleet(self, fleet: Fleet) -> None:
        self._fleet = fleet
        if self._lab is not None:
            self._lab.fleet = fleet
        self.routers.clear()

    @property
    def lab(self) -> Lab:
        """The notebook's lab."""
        if self._lab is None:
            from routelab.lab.session import Lab

            self._lab = Lab(self._log(), fleet=self.fleet)
            self._lab.arms = self._arms
        return self._lab

    def _log(self) -> str:
        """Return where the log goes: the setting, or memory when nothing can be written there, which is said once."""
        given: str = self.settings.log
        if given == ":memory:":
            return given
        path = Path(given).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if given == LOG and not (ignore := path.parent / ".gitignore").exists():
                # Logs hold prompts and answers: they should not slip into somebody's commit.
                ignore.write_text("*\n", encoding="utf-8")
        except OSError as trouble:
            self.say(f"routelab: {given} cannot be written ({trouble.strerror}), so calls are logged in memory only")
            return ":memory:"
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            self.say(f"routelab: {given} is read-only, so calls are logged in memory only")
            return ":memory:"
        return str(path)

    def reopen(self) -> None:
        """Let go of the log; the next call opens the one that the settings name by then. Named arms stay."""
        if self._lab is not None:
            if any(not job.done for job in self.jobs):
                self._retired.append(self._lab)  # a job still logs there
            else:
                self._lab.close()
            self._lab = None
        self.routers.clear()

    def refit(self) -> None:
        """Forget the fleet; the next call makes the one that the settings name by then."""
        self._fleet = None
        self.reopen()

    def close(self) -> None:
        """Stop the jobs and let go of everything."""
        for job in self.jobs:
            job.cancel()
        for job in self.jobs:
            job.settle()
        self.jobs.clear()
        self.reopen()
        for lab in self._retired:
            lab.close()
        self._retired.clear()

    # Names

    @property
    def names(self) -> Mapping[str, Any]:
        """The notebook's variables."""
        names: Mapping[str, Any] = self.shell.user_ns
        return names

    def look(self, path: str) -> Any:
        """Return the value of ``$path``; ConfigError with the nearest name."""
        from routelab.core.errors import TemplateError

        try:
            return value_of(path, Scope(names=self.names))
        except TemplateError as trouble:
            raise ConfigError(
                f"${trouble.message}",
                hint=trouble.hint or "$NAME is a variable of this notebook; quote the text to take it as it is",
            ) from None

    def arm(self, given: Any) -> tuple[str, RouteConfig]:
        """Return an arm's name and config: a config, a .yaml file, a named arm, a model, a strategy, or a variable that holds a config."""
        from routelab.config import RouteConfig

        if isinstance(given, RouteConfig):
            return given.name, given
        if not isinstance(given, str):
            raise ConfigError(f"an arm is a name or a RouteConfig, not a {type(given).__name__}")
        if given.endswith((".yaml", ".yml")):
            config = RouteConfig.from_yaml(given)
            return config.name, config
        held = self.names.get(given)
        if given not in self.known_arms() and isinstance(held, RouteConfig):
            return given, held
        if given not in self.known_arms():
            own = [name for name, value in self.names.items() if isinstance(value, RouteConfig)]
            near = suggest(given, [*own, *self.known_arms()])
            raise ConfigError(
                f"unknown arm '{given}'{'' if near is None else '; ' + near}",
                hint="`%routelab strategies` lists the arms",
            )
        return given, self.lab.arm(given)

    def router(self, name: str, config: RouteConfig, **setting: Any) -> Router:
        """Return a router for an arm, logging into this notebook's log; `setting` are fields of `router.Setting`."""
        from routelab.router import Router, Setting

        shared = {"arm": name, "libraries": self.lab.corpora.libraries, **setting}
        return Router(config, fleet=self.fleet, log=self.lab.log, setting=Setting(**shared))

    def known_arms(self) -> list[str]:
        """Return the names that an arm may have here, without opening the log."""
        from routelab.strategies import DEFAULTS

        return list(dict.fromkeys([*self._arms, *DEFAULTS, *self.fleet.names]))

    def default(self) -> tuple[str, RouteConfig]:
        """Return the arm that answers when none is named: the setting's, else the first model of a fleet that the rules do not fit."""
        try:
            return self.arm(self.settings.arm)
        except ConfigError:
            if self.settings.arm != "rules" or "rules" in self._arms:
                raise
            return self.arm(self.fleet.names[0])

    # Telling

    def say(self, text: str) -> None:
        """Show a line; rich output, because a print from a magic cannot be told from the cell's own."""
        from routelab.present import bundle

        self.shell.display_pub.publish(data=bundle(text), metadata={})

    def show(self, value: Any) -> None:
        """Show a rich object beside what the cell returns."""
        data, metadata = self.shell.display_formatter.format(value)
        self.shell.display_pub.publish(data=data, metadata=metadata)

    def keep(self, value: Any, out: str | None) -> None:
        """Remember a result as the latest one, and under a variable's name."""
        from routelab.lab.compare import Comparison

        self.last = value
        if isinstance(value, Comparison):
            self.comparison = value
        if out is not None:
            self.shell.user_ns[out] = value


def bench_of(shell: Any) -> Bench | None:
    """Return the bench of a shell, or None when the extension is not loaded there."""
    bench: Bench | None = getattr(shell, ATTRIBUTE, None)
    return bench
