"""What is installed: every package, in its place, from a wheel and from a source archive; and nothing else."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]
PLATFORMS = [
    {"sys_platform": platform, "platform_machine": machine}
    for platform in ("linux", "win32", "darwin")
    for machine in ("x86_64", "AMD64", "aarch64", "arm64", "ARM64")
]


def _folders() -> dict[str, list[str]]:
    """Every folder of the package tree, links followed, and the Python files in it."""
    found = {}
    for folder, inner, files in os.walk(ROOT / "onnxdl", followlinks=True):
        inner[:] = [name for name in inner if name != "__pycache__"]
        modules = [name for name in files if name.endswith(".py")]
        if modules:
            found[".".join(Path(folder).relative_to(ROOT).parts)] = modules
    return found


def test_the_package_list_is_the_folders_that_hold_modules() -> None:
    assert sorted(PACKAGES) == sorted(_folders())


def test_every_folder_with_modules_is_a_package() -> None:
    assert [name for name, files in _folders().items() if "__init__.py" not in files] == []


@pytest.mark.parametrize("name", ["converters", "models"])
def test_the_linked_packages_have_one_name_only(name: str) -> None:
    wrong = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert wrong.returncode == 1
    assert f"ImportError: this package is onnxdl.{name}, not {name}" in wrong.stderr
    subprocess.run([sys.executable, "-c", f"import onnxdl.{name}"], cwd=ROOT, check=True)


def test_every_dependency_has_a_lower_bound() -> None:
    listed = [*PROJECT["project"]["dependencies"], *itertools.chain(*PROJECT["project"]["optional-dependencies"].values())]
    loose = [text for text in listed if Requirement(text).name != "onnxdl" and ">=" not in str(Requirement(text).specifier)]
    assert loose == []


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda p: "-".join(p.values()))
def test_one_onnxruntime_for_each_platform(platform: dict[str, str]) -> None:
    requirements = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    chosen = [r.name for r in requirements if r.name.startswith("onnxruntime") and (r.marker is None or r.marker.evaluate(platform))]
    has_gpu_wheels = platform["sys_platform"] != "darwin" and platform["platform_machine"] in ("x86_64", "AMD64")
    assert chosen == ["onnxruntime-gpu" if has_gpu_wheels else "onnxruntime"]


def _copy_of_checkout(target: Path) -> Path:
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("onnxdl", "converters", "models"):
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=skip)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target / name)
    return target


def _build(kind: str, source: Path, target: Path) -> Path:
    program = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(target)!r}))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=source, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return target / ran.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel of the checkout, and a wheel of its source archive."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "checkout").mkdir()
    checkout = _copy_of_checkout(folder / "checkout")
    sdist = _build("sdist", checkout, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # 3.11.4 and later have it
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    (folder / "again").mkdir()
    return _build("wheel", checkout, folder), _build("wheel", unpacked, folder / "again")


@pytest.mark.parametrize("which", [0, 1], ids=["checkout", "source-archive"])
def test_a_wheel_holds_every_module_once_and_nothing_at_the_top(archives: tuple[Path, Path], which: int) -> None:
    with zipfile.ZipFile(archives[which]) as wheel:
        names = wheel.namelist()
    version = PROJECT["project"]["version"]
    assert {name.split("/")[0] for name in names} == {"onnxdl", f"onnxdl-{version}.dist-info"}
    modules = {f"{package.replace('.', '/')}/{file}" for package, files in _folders().items() for file in files}
    weights = {f"onnxdl/models/.weights/{file.name}" for file in (ROOT / "models" / ".weights").iterdir()}
    data = {"onnxdl/py.typed", "onnxdl/graph/op.pyi"} | weights
    assert sorted(name for name in names if name.startswith("onnxdl/")) == sorted(modules | data)
    assert f"onnxdl-{version}.dist-info/licenses/LICENSE" in names


def test_the_wheel_runs_where_it_is_unpacked(archives: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(archives[0]) as wheel:
        wheel.extractall(tmp_path)
    program = "import onnxdl, onnxdl.converters, onnxdl.models as m; print(m.__file__, float(onnxdl.tensor(2.0) * 3))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout == f"{tmp_path / 'onnxdl' / 'models' / '__init__.py'} 6.0\n", ran.stderr
