"""What importing onnxdl loads, and how long it takes. Each question is asked of a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FRAMEWORKS = {"jax", "keras", "mxnet", "onnxruntime", "tensorflow", "torch"}
LATE = FRAMEWORKS | {"PIL", "click", "h5py", "matplotlib", "sklearn"}
SECONDS_MORE = 0.5


def _ask(program: str) -> Any:
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def _modules_after(program: str) -> set[str]:
    return set(_ask(f"import json, sys\n{program}\nprint(json.dumps(list(sys.modules)))"))


def test_importing_onnxdl_loads_no_framework_and_no_runtime() -> None:
    assert {name.split(".")[0] for name in _modules_after("import onnxdl")} & LATE == set()


def test_no_module_loads_a_framework_when_it_is_imported() -> None:
    program = """
import importlib, pkgutil
import onnxdl
def refuse(name): raise
for module in pkgutil.walk_packages(onnxdl.__path__, "onnxdl.", onerror=refuse):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
    loaded = _modules_after(program)
    assert "onnxdl.graph.stub" in loaded
    assert {name.split(".")[0] for name in loaded} & FRAMEWORKS == set()


def test_importing_onnxdl_is_quick_once_its_dependencies_are_loaded() -> None:
    others = sorted(name for name in _modules_after("import onnxdl") - _modules_after("") if name.split(".")[0] != "onnxdl")
    program = f"""
import importlib, json, sys, time
for name in {others!r}:
    if name not in sys.modules:
        importlib.import_module(name)
start = time.process_time()
import onnxdl
print(json.dumps(time.process_time() - start))
"""
    assert min(_ask(program) for _ in range(3)) < SECONDS_MORE
