"""Measures two builds of the load in turns, and prints the medians of both.

    benches/turns.py BEFORE AFTER --times 5 -- --only rounds --rounds 1 --seconds 6

BEFORE and AFTER are programs that `cargo bench --bench load --no-run` built, each from its own checkout; each starts the
service of its own checkout. Arguments after `--` are passed on to them. With `--logs FILE…` it measures nothing, and reads the
output of earlier runs, in which a line `=== PART NUMBER before` or `… after` comes before each.

A figure is a value of the JSON object that each run ends with. Prints its median, and in brackets the lowest and the highest
value. Stops at the first run that fails.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

BUILDS = ("before", "after")


def figures_of(output: str) -> dict[str, float]:
    """The figures of a run that were measured."""
    objects = [line for line in output.splitlines() if line.startswith("{")]
    if not objects:
        sys.exit(f"no figures; the run ended with:\n{output[-2000:]}")
    figures = json.loads(objects[-1])
    return {name: value for name, value in figures.items() if isinstance(value, int | float)}


def measured(programs: dict[str, str], times: int, arguments: list[str]):
    for number in range(1, times + 1):
        for build in BUILDS:
            print(f"=== {number} of {times}, {build}", file=sys.stderr, flush=True)
            run = subprocess.run([programs[build], *arguments, "--bench"], capture_output=True, text=True, check=False)
            print(run.stdout, file=sys.stderr, flush=True)
            if run.returncode != 0:
                sys.exit(f"{programs[build]} ended with {run.returncode}:\n{run.stderr[-2000:]}")
            yield build, figures_of(run.stdout)


def logged(files: list[pathlib.Path]):
    for file in files:
        for run in file.read_text().split("=== ")[1:]:
            head, _, output = run.partition("\n")
            build = next((word for word in head.split() if word in BUILDS), None)
            if build is None:
                sys.exit(f"{file}: no build is named in: {head}")
            yield build, figures_of(output)


def shown(values: list[float]) -> str:
    if not values:
        return "not measured"
    bounds = (statistics.median(values), min(values), max(values))
    middle, lowest, highest = (f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" for value in bounds)
    return middle if lowest == highest else f"{middle} ({lowest} to {highest})"


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before `--`, and those after it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", nargs="?")
    parser.add_argument("after", nargs="?")
    parser.add_argument("--times", type=int, default=5, help="the runs of each build")
    parser.add_argument("--logs", type=pathlib.Path, nargs="+", help="the output of earlier runs")
    own, passed_on = split(sys.argv[1:])
    arguments = parser.parse_args(own)
    if arguments.logs:
        runs = logged(arguments.logs)
    elif arguments.before and arguments.after:
        runs = measured({"before": arguments.before, "after": arguments.after}, arguments.times, passed_on)
    else:
        parser.error("two programs are needed, or --logs")
    values: dict[str, dict[str, list[float]]] = {}
    for build, figures in runs:
        for name, value in figures.items():
            values.setdefault(name, {known: [] for known in BUILDS})[build].append(value)
    print("| figure | before | after | runs |\n| --- | --- | --- | --- |")
    for name, of in sorted(values.items()):
        print(f"| `{name}` | {shown(of['before'])} | {shown(of['after'])} | {len(of['before'])}, {len(of['after'])} |")


if __name__ == "__main__":
    main()
