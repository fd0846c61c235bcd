"""What training says of itself: a bar on a terminal, plain lines in a pipe, nothing when it is told to be quiet."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxdl as ox
from onnxdl import nn
from onnxdl.errors import TrainingError

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = X.sum(1)


def regression() -> ox.Model:
    model = ox.Sequential([ox.Input((4,)), nn.Dense(1)])
    model.compile("sgd", "mse")
    return model


LINE = r"epoch {}/2  \d+\.\d s  loss \d+\.\d{{4}}  val_loss \d+\.\d{{4}}\n"


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_a_pipe_gets_a_line_an_epoch(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    regression().fit(X, Y, epochs=2, validation_data=(X, Y), verbose=verbose)
    assert re.fullmatch(LINE.format(1) + LINE.format(2), capsys.readouterr().out)


def test_evaluation_and_prediction_speak_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    model = regression()
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y)
    model.predict(X)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""
    model.evaluate(X, Y, verbose=1)
    assert re.fullmatch(r"evaluate  \d+\.\d s  loss \d+\.\d{4}\n", capsys.readouterr().out)


def test_other_words_are_refused() -> None:
    with pytest.raises(TrainingError, match="verbose is 'auto', 0, 1 or 2, not 3"):
        regression().fit(X, Y, verbose=3)


SCRIPT = """
import time
import numpy as np
import onnxdl as ox
from tests.train.test_progress import X, Y, regression
slow = ox.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(0.15))
regression().fit(X, Y, 4, epochs=2, validation_data=(X, Y), callbacks=[slow])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_with_rate_time_left_and_loss() -> None:
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=theirs, stderr=subprocess.PIPE, env=environment, cwd=root)
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())
    bars = re.findall(r"epoch 1/2 [━╸╺ ]+ +(\d+)/10 (\d+) steps/s 0:00:0\d left loss (\d\.\d{4})", text)
    assert len(bars) >= 3
    assert [int(done) for done, _, _ in bars] == sorted(int(done) for done, _, _ in bars)
    assert all(3 <= int(rate) <= 8 for _, rate, _ in bars)
    assert len(re.findall(LINE.format(1).replace(r"\n", ""), text)) == 1 and "Traceback" not in text
