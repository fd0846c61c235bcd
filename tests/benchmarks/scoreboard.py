"""The scoreboard: how many of the ONNX standard's own node tests have a gradient, and whether it is right.

    python -m tests.benchmarks.scoreboard [--operator NAME] [--markdown]

Every eligible test goes through ``gradient_model``; what that gives runs on stock ONNX Runtime, and is compared along
random directions with central differences of the forward pass, in float64 where there is such a forward pass.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx
import onnxruntime

import onnxdl as ox
from onnxdl import runtime
from onnxdl.errors import OnnxdlError
from tests.benchmarks.node_tests import REFUSALS, Feeds, Forward, NodeTest, node_tests, run_model

RESULTS = Path(__file__).with_name("scoreboard.json")
DIRECTIONS = 2  # for each input alone, and for all together

Status = Literal["confirmed", "kink", "mismatched", "refused"]


@dataclass(frozen=True)
class Result:
    """What became of one test. ``kink``: built, and confirmed beside a point at which no derivative exists."""

    name: str
    operator: str
    status: Status
    precision: str = ""  # of the differences that agree
    note: str = ""


class Ladder(NamedTuple):
    """One way of taking differences: the forward pass, its rounding error, and steps to try."""

    forward: Forward
    precision: str
    epsilon: float
    steps: Sequence[float]
    rtol: float


class Slope(NamedTuple):
    """A derivative along one direction: ours, and from ahead and behind."""

    ours: float
    scale: float
    ahead: float
    behind: float
    noise: float

    @property
    def central(self) -> float:
        """The central difference. Where the function jumps it grows as steps shrink."""
        return (self.ahead + self.behind) / 2

    def agrees(self, rtol: float) -> bool:
        """Whether ours is the central difference, up to rounding."""
        return abs(self.ours - self.central) <= rtol * max(self.scale, abs(self.central)) + self.noise

    def near(self, other: Slope, rtol: float) -> bool:
        """Whether two steps give the same central difference."""
        return abs(self.central - other.central) <= rtol * self.scale + self.noise

    def is_kink(self) -> bool:
        """Whether the two sides differ by more than curvature and rounding explain, or one lies outside the domain."""
        if not np.isfinite(self.ahead) or not np.isfinite(self.behind):
            return True
        return abs(self.ahead - self.behind) > 0.02 * max(self.scale, abs(self.ahead), abs(self.behind)) + 4 * self.noise


def judge(test: NodeTest) -> Result:
    """Builds the gradient of one test and compares it."""
    try:
        model = ox.gradient_model(test.model, test.inputs, test.outputs)
        session = runtime.create_session(model.SerializeToString(), threads=1)
        here = Comparison(test, session, test.feeds)
    except OnnxdlError as error:
        return Result(test.name, test.operator, "refused", note=str(error))
    except REFUSALS as error:
        return Result(test.name, test.operator, "refused", note=f"crashed with {type(error).__name__}: {error}")
    if here.precision:
        return Result(test.name, test.operator, "confirmed", here.precision)
    beside = _compared_beside(test, session) if here.found_kink else None
    if beside is not None and beside.precision:
        return Result(test.name, test.operator, "kink", beside.precision, here.note)
    return Result(test.name, test.operator, "mismatched", note=here.note)


def _compared_beside(test: NodeTest, session: Any) -> Comparison | None:
    """The same at a point a little away from the test's own; None where that is outside the domain."""
    try:
        return Comparison(test, session, _beside(test))
    except OnnxdlError:
        return None


class Comparison:
    """The gradient of a test at one point, against differences around it.

    ``precision`` is that of the differences that agree along all directions, empty where none do; ``note`` tells then how they differ.
    """

    def __init__(self, test: NodeTest, session: Any, feeds: Feeds) -> None:
        self.test = test
        self.feeds = feeds
        self.found_kink = False
        self.precision = self.note = ""
        rng = np.random.default_rng(5)
        outputs = test.run(feeds)
        seeded = {v.name for v in session.get_inputs()}
        self.seeds: dict[str, np.ndarray] = {}
        for name in test.outputs:
            y = outputs[name]
            weight = rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1, 1], y.shape) if f"seed/{name}" in seeded else np.ones(())
            self.seeds[name] = np.where(np.isfinite(y), weight, 0).astype(y.dtype)
        given = {f"seed/{k}": s for k, s in self.seeds.items() if f"seed/{k}" in seeded}
        found = run_model(session, {**feeds, **given})
        self.gradients = {name: found[f"grad/{name}"].astype(np.float64) for name in test.inputs}
        self.size = math.sqrt(sum(float(np.square(s[s != 0] * outputs[k][s != 0].astype(np.float64)).sum()) for k, s in self.seeds.items()))
        self.outputs = outputs
        self._compare()

    def _compare(self) -> None:
        if bad := [k for k, g in self.gradients.items() if g.shape != self.feeds[k].shape or not np.isfinite(g).all()]:
            self.note = f"the gradient of {bad[0]} is not finite, or not of its shape"
            return
        for ladder in self._ladders():
            before: list[Slope] = []
            for step in ladder.steps:
                slopes = [self._slope(ladder, step, d) for d in self._directions()]
                wrong = [s for s in slopes if not s.agrees(ladder.rtol)]
                if not wrong:
                    self.precision = ladder.precision
                    return
                jumps = any(abs(a.central) > 5 * abs(b.central) + 4 * a.noise for a, b in zip(before, slopes, strict=False))
                self.found_kink = self.found_kink or jumps or any(s.is_kink() for s in wrong)
                settled = bool(before) and all(a.near(b, ladder.rtol / 2) for a, b in zip(before, slopes, strict=True))
                before = slopes
                s = max(wrong, key=lambda s: abs(s.ours - s.central))
                self.note = f"ours {s.ours:.6g}, from ahead {s.ahead:.6g}, from behind {s.behind:.6g}"
                if settled and ladder.precision == "float64":
                    return  # these differences are beyond doubt; coarser ones must not overrule them

    def _ladders(self) -> Iterator[Ladder]:
        rtol = 3e-2 if self.test.is_half else 1e-3
        for forward in self.test.in_float64():
            if self._is_the_same(forward):
                yield Ladder(forward, "float64", 1e-15, (1e-6, 1e-4), rtol)
        epsilon = 1e-3 if self.test.is_half else 1e-7
        yield Ladder(self.test.run, "float16" if self.test.is_half else "float32", epsilon, (3e-4, 1e-3, 1e-2, 5e-2), max(rtol, 1e-2))

    def _is_the_same(self, forward: Forward) -> bool:
        """Whether a forward pass in float64 gives what ONNX Runtime gives: onnx.reference departs from it here and there."""
        points = [(self.feeds, self.outputs)]
        with contextlib.suppress(OnnxdlError):  # beside may be outside the domain
            beside = _beside(self.test)
            points.append((beside, self.test.run(beside)))
        try:
            pairs = [(forward(feeds), outputs) for feeds, outputs in points]
        except (OnnxdlError, *REFUSALS):
            return False
        rtol = 2e-2 if self.test.is_half else 1e-3
        return all(_close(np.asarray(a[k]), b[k], rtol) for a, b in pairs for k in self.seeds)

    def _slope(self, ladder: Ladder, step: float, direction: Mapping[str, np.ndarray]) -> Slope:
        middle, ahead, behind = (self._scalar(ladder.forward, s, direction) for s in (0, step, -step))
        products = {k: self.gradients[k] * d for k, d in direction.items()}
        ours = sum(float(p.sum()) for p in products.values())
        scale = float(np.sqrt(sum(np.square(p).sum() for p in products.values())))
        size = max(self.size, 1e-3)
        noise = 8 * ladder.epsilon * size / step + 1e-6 * size  # of the differences, and of our own float32
        return Slope(ours, scale, (ahead - middle) / step, (middle - behind) / step, noise)

    def _scalar(self, forward: Forward, step: float, direction: Mapping[str, np.ndarray]) -> float:
        moved = {k: np.asarray(self.feeds[k].astype(np.float64) + step * d) for k, d in direction.items()}
        exact = forward == self.test.run
        moved = {k: m.astype(self.feeds[k].dtype) if exact else m for k, m in moved.items()}
        try:
            outputs = forward({**self.feeds, **moved})
        except (OnnxdlError, *REFUSALS):
            return float("nan")  # outside the domain
        if any(outputs[k].shape != s.shape for k, s in self.seeds.items()):
            return float("nan")  # the sizes of the outputs hang on the values that are moved
        with np.errstate(invalid="ignore"):
            return sum(float(np.where(s != 0, s.astype(np.float64) * outputs[k], 0).sum()) for k, s in self.seeds.items())

    def _directions(self) -> Iterator[dict[str, np.ndarray]]:
        """Each input alone, then all together, in steps of the size of what they hold."""
        rng = np.random.default_rng(9)
        names = list(self.gradients)
        for chosen in [[k] for k in names] + ([names] if len(names) > 1 else []):
            for _ in range(DIRECTIONS):
                yield {k: _direction(self.feeds[k], rng) for k in chosen}


def _close(a: np.ndarray, b: np.ndarray, rtol: float) -> bool:
    return a.shape == b.shape and np.allclose(a, b, rtol, rtol, equal_nan=True)


def _direction(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random direction, of the magnitude of ``x``; what is infinite stays."""
    x = x.astype(np.float64)
    return np.where(np.isfinite(x), rng.normal(size=x.shape) * _magnitude(x), 0)


def _magnitude(x: np.ndarray) -> float:
    finite = x[np.isfinite(x)].astype(np.float64)
    return float(np.clip(np.sqrt(np.square(finite).mean()), 0.05, 100)) if finite.size else 1.0


def _beside(test: NodeTest) -> Feeds:
    """The test's point, moved a little, away from ties and kinks."""
    rng = np.random.default_rng(3)
    moved = {k: test.feeds[k] + 0.05 * _magnitude(test.feeds[k]) * rng.uniform(-1, 1, test.feeds[k].shape) for k in test.inputs}
    return {**test.feeds, **{k: np.asarray(x, test.feeds[k].dtype) for k, x in moved.items()}}


# ---- the board --------------------------------------------------------------------------------------------------------


def totals(results: Sequence[Result]) -> dict[str, int]:
    """How many there are of each status."""
    counts = Counter(r.status for r in results)
    built = len(results) - counts["refused"]
    return {
        "eligible": len(results),
        "built": built,
        "confirmed": counts["confirmed"] + counts["kink"],
        "in float64": sum(r.precision == "float64" for r in results),
        "beside a kink": counts["kink"],
        "refused": counts["refused"],
        "mismatched": counts["mismatched"],
    }


def markdown(results: Sequence[Result]) -> str:
    """The table for the README: totals, operators that are not wholly confirmed, and the others in one line."""
    total = totals(results)
    lines = ["| " + " | ".join(total) + " |", "|" + " --: |" * len(total), "| " + " | ".join(map(str, total.values())) + " |"]
    by_operator: dict[str, list[Result]] = {}
    for r in results:
        by_operator.setdefault(r.operator, []).append(r)
    kinks = Counter(r.operator for r in results if r.status == "kink")
    whole = {k: rs for k, rs in by_operator.items() if all(r.status in ("confirmed", "kink") for r in rs)}
    lines += ["", "Confirmed in every test: " + ", ".join(f"{k} {len(rs)}" for k, rs in sorted(whole.items())) + "."]
    lines += ["", "At a kink or a jump, and confirmed beside it: " + ", ".join(f"{k} {n}" for k, n in sorted(kinks.items())) + "."]
    rest = {k: rs for k, rs in sorted(by_operator.items()) if k not in whole}
    if rest:
        lines += ["", "| operator | eligible | built | confirmed | why not |", "| --- | --: | --: | --: | --- |"]
    for k, rs in rest.items():
        part = totals(rs)
        why = "; ".join(dict.fromkeys(f"{r.status}: {r.note}" for r in rs if r.status in ("refused", "mismatched")))
        lines.append(f"| {k} | {part['eligible']} | {part['built']} | {part['confirmed']} | {why} |")
    return "\n".join(lines)


def known_results() -> dict[str, Result]:
    """The board as it was last written down, by test."""
    return {row["name"]: Result(**row) for row in json.loads(RESULTS.read_text())["results"]}


def write(results: Iterable[Result]) -> None:
    """Writes the board down, with the versions that it was made with."""
    versions = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    rows = ",\n".join(json.dumps({k: v for k, v in asdict(r).items() if v}) for r in results)
    RESULTS.write_text(f'{{"versions": {json.dumps(versions)}, "results": [\n{rows}\n]}}\n')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operator", help="only the tests of this operator")
    parser.add_argument("--markdown", action="store_true", help="print the table of the README")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}, below which the tests let nothing fall")
    options = parser.parse_args()
    results = []
    for test in node_tests(options.operator):
        result = judge(test)
        results.append(result)
        if not options.markdown and (options.operator or result.status != "confirmed"):
            print(f"{result.status:10} {result.operator:24} {result.name}: {result.note}", flush=True)
    print(markdown(results) if options.markdown else totals(results))
    if options.write:
        write(results)
    return int(any(r.status == "mismatched" for r in results))


if __name__ == "__main__":
    sys.exit(main())
