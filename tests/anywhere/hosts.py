"""The other hosts: Node with onnxruntime-node, and headless Chromium with onnxruntime-web; what is missing skips the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MODULES = Path(os.environ.get("ONNXDL_NODE_MODULES", HERE / "node_modules"))


def need(*packages: str) -> str:
    """The node program; skips where it or a package is missing."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    for package in packages:
        if not (MODULES / package / "package.json").exists():
            pytest.skip(f"needs {package}: npm install --prefix tests/anywhere")
    return node


def chromium() -> str:
    """The browser; skips where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs chromium")
    return found


def run_node(script: str, *arguments: str | Path, packages: tuple[str, ...] = ("onnxruntime-node",)) -> str:
    """What a script of this folder prints, called with the packages' folder first; its failure is the test's."""
    done = subprocess.run([need(*packages), HERE / script, MODULES, *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_browser(task: str, url: str, folder: Path, **settings: Any) -> Any:
    """Runs a task of browser.mjs on a page of headless Chromium; what it returns."""
    job = folder / "job.json"
    job.write_text(json.dumps({"task": task, "url": url, "chromium": chromium(), "folder": str(folder), **settings}))
    return json.loads(run_node("browser.mjs", job, packages=("onnxruntime-web", "playwright-core")))
