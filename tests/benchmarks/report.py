"""The benchmark's numbers as a table, as a picture, and in the README."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.rows import ROWS

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"
HEADER = ["row", "ours ms", "samples/s", "against", "its ms", "ratio (spread)", "cpu ratio", "inference", "first step s", "memory MB"]
HEADER += ["nodes", "GB moved"]


def median(times: Sequence[Mapping[str, float]], clock: str) -> float:
    """The median over the rounds."""
    return statistics.median(t[clock] for t in times)


def ratios(mine: Sequence[Mapping[str, float]], theirs: Sequence[Mapping[str, float]], clock: str) -> list[float]:
    """Theirs over ours, round by round, in order of size."""
    return sorted(b[clock] / a[clock] for a, b in zip(mine, theirs, strict=True))


def clock_of(results: Mapping[str, Any]) -> str:
    """The clock of the ratios: with one thread the processor's, which other processes on the machine disturb least."""
    return "cpu" if results["threads"] == 1 else "wall"


def lines(results: Mapping[str, Any]) -> list[list[str]]:
    """The table's lines: one for each contestant beside ours."""
    found = []
    for key, row in results["rows"].items():
        ours = row["ours"]
        if "failed" in ours:
            found.append([ROWS[key].title, "failed", "", "", ours["failed"], *[""] * 7])
            continue
        own = median(ours["train"], clock_of(results))
        head = [ROWS[key].title, f"{1e3 * own:.2f}", f"{ROWS[key].batch / own:,.0f}"]
        tail = [str(ours["nodes"]), f"{ours['bytes'] / 1e9:.3f}"] if "nodes" in ours else ["", ""]
        for name, other in row.items():
            if name == "ours":
                continue
            if "failed" in other:
                found.append([*head, name, "failed: " + other["failed"][:60], *[""] * 5, *tail])
                head, tail = ["", "", ""], ["", ""]
                continue
            measured = ratios(ours["train"], other["train"], clock_of(results))
            cpu = statistics.median(ratios(ours["train"], other["train"], "cpu"))
            inference = f"{statistics.median(ratios(ours['predict'], other['predict'], clock_of(results))):.2f}" if other["predict"] else ""
            found.append(
                [
                    *head,
                    name,
                    f"{1e3 * median(other['train'], clock_of(results)):.2f}",
                    f"{statistics.median(measured):.2f} ({measured[0]:.2f}-{measured[-1]:.2f})",
                    f"{cpu:.2f}",
                    inference,
                    f"{ours['first_step']:.1f} / {other['first_step']:.1f}",
                    f"{ours['peak'] / 1e6:.0f} / {other['peak'] / 1e6:.0f}",
                    *tail,
                ]
            )
            head, tail = ["", "", ""], ["", ""]
    return found


def table(results: Mapping[str, Any], header: bool = True) -> str:
    """The table for a terminal."""
    widths = [40, 9, 10, 14, 9, 19, 9, 9, 13, 13, 6, 8]
    shown = ([HEADER] if header else []) + lines(results)
    return "\n".join(" ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in shown)


def markdown(results: Mapping[str, Any]) -> str:
    """The table for the README."""
    rows = [HEADER, ["---"] * len(HEADER), *lines(results)]
    return "\n".join(f"| {' | '.join(line)} |" for line in rows)


def picture(results: Mapping[str, Any], path: Path) -> None:
    """Bars: how many times as fast as PyTorch in its quicker form each row is."""
    from matplotlib.figure import Figure

    names, bars = [], []
    for key, row in results["rows"].items():
        others = [row[n] for n in ("torch", "channels_last") if n in row and "failed" not in row[n]]
        if "failed" not in row["ours"] and others:
            names.append(ROWS[key].title)
            bars.append(min(statistics.median(ratios(row["ours"]["train"], other["train"], clock_of(results))) for other in others))
    figure = Figure(figsize=(7, 0.4 * len(bars) + 0.9), layout="constrained")
    panel = figure.subplots()
    panel.barh(names, bars, color=["#3b7a57" if b >= 1 else "#b5651d" for b in bars])
    panel.axvline(1, color="black", linewidth=0.8)
    panel.invert_yaxis()
    panel.set_xlabel(f"time of PyTorch's quicker form / ours, threads: {results['threads']}")
    figure.savefig(path)


def write_readme(results: Mapping[str, Any]) -> None:
    """Puts table and picture between the README's two marks."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"README.md lacks the marks {BEGIN} and {END}")
    image = "![how fast each row is beside PyTorch](tests/benchmarks/speed.svg)"
    clock = "processor time" if clock_of(results) == "cpu" else "time"
    threads = "one thread" if results["threads"] == 1 else f"{results['threads']} threads"
    note = f"Medians of {clock} on {results['machine']}, {threads}; a ratio is the other's over ours, above 1 where we are faster."
    README.write_text(f"{before}{BEGIN}\n{note}\n\n{markdown(results)}\n\n{image}\n{END}{after}")
