"""What the scoreboard says stays true: no node test of the standard whose gradient was right loses it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.benchmarks.node_tests import NodeTest, node_tests
from tests.benchmarks.scoreboard import judge, known_results, markdown, totals

README = Path(__file__).parents[2] / "README.md"
RANKS = {"refused": 0, "mismatched": 1, "kink": 2, "confirmed": 3}


def _fallen(tests: Iterable[NodeTest]) -> list[str]:
    known = known_results()
    judged = [judge(test) for test in tests if test.name in known]
    assert judged
    fallen = [r for r in judged if RANKS[r.status] < RANKS[known[r.name].status]]
    return [f"{r.name}: {known[r.name].status} before, now {r.status} ({r.note})" for r in fallen]


def test_the_board_as_written_down_is_full() -> None:
    total = totals(list(known_results().values()))
    assert total["eligible"] >= 805
    assert total["built"] >= 780
    assert total["mismatched"] == 0
    assert markdown(list(known_results().values())) in README.read_text(), "write the board's --markdown into the README"


def test_one_test_of_each_operator() -> None:
    assert not _fallen(node_tests(one_each=True))


@pytest.mark.slow
def test_the_whole_board() -> None:
    assert not _fallen(node_tests())
