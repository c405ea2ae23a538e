"""How long `import routelab` and `%load_ext routelab` take, beside importing pandas, in one run.

    python benchmarks/import_time.py [RUNS]

Every round runs each command once, in turn, in a fresh interpreter; the figures are medians over the rounds, and the interpreter's
own start is taken off. Targets on two cores: import under 0.2 s, extension under 0.4 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

SHELL = "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); "
COMMANDS = {
    "python": "pass",
    "import routelab": "import routelab",
    "import pandas": "import pandas",
    "a shell": SHELL,
    "%load_ext routelab": SHELL + "s.extension_manager.load_extension('routelab')",
}
STARTS = {"import routelab": "python", "import pandas": "python", "%load_ext routelab": "a shell"}


def once(code: str) -> float:
    """Return the seconds that a fresh interpreter needs for the code."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def main(runs: int) -> None:
    """Print the table."""
    for code in COMMANDS.values():
        once(code)  # warm the file cache and the byte code
    rounds = [{name: once(code) for name, code in COMMANDS.items()} for _ in range(runs)]
    added = {name: [r[name] - r[start] for r in rounds] for name, start in STARTS.items()}
    print(f"{runs} rounds, seconds added over the bare start: median [min, max]")
    for name, values in added.items():
        print(f"{name:20} {statistics.median(values):.3f} [{min(values):.3f}, {max(values):.3f}]")
    ratio = statistics.median(r / p for r, p in zip(added["import routelab"], added["import pandas"], strict=True))
    print(f"import routelab / import pandas, paired: {ratio:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
