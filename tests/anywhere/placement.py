"""Where CUDA would run the nodes of a model, and how many copies it would put in between, told without a GPU.

onnxruntime-gpu assigns nodes to its CUDA provider before it computes anything. Libraries that answer every call of CUDA with
success, and say that there is one device, let it come that far; the assignment is in the session's log. No arithmetic runs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ON_CPU = {
    "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Div", "Equal", "Expand", "Gather", "Identity", "If", "Max", "Min", "Mul",
    "Range", "ReduceProd", "Reshape", "Shape", "Size", "Slice", "Squeeze", "Sub", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators of shape arithmetic, which the provider leaves to the CPU on purpose; what else is there has no kernel."""

# What the provider reads from the libraries; every other function gives 0, which is success.
_ANSWERS = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int cudaGetDeviceCount(int *n) { *n = 1; return 0; }
int cudaGetDevice(int *n) { *n = 0; return 0; }
int cudaDriverGetVersion(int *n) { *n = 13000; return 0; }
int cudaRuntimeGetVersion(int *n) { *n = 13000; return 0; }
int cudaDeviceGetAttribute(int *n, int which, int device) { *n = which == 75 ? 9 : which == 76 ? 0 : 64; return 0; }
int cudaMalloc(void **p, size_t n) { *p = aligned_alloc(256, (n + 511) / 256 * 256); return 0; }
int cudaMallocHost(void **p, size_t n) { *p = malloc(n + 1); return 0; }
int cudaHostAlloc(void **p, size_t n, unsigned flags) { *p = malloc(n + 1); return 0; }
int cudaMemGetInfo(size_t *open, size_t *all) { *open = (size_t)8 << 30; *all = (size_t)16 << 30; return 0; }
int cudaMemcpy(void *to, const void *from, size_t n, int kind) { memcpy(to, from, n); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *stream) { memcpy(to, from, n); return 0; }
int cudaStreamCreate(void **p) { *p = (void *)1; return 0; }
int cudaStreamCreateWithFlags(void **p, unsigned flags) { *p = (void *)1; return 0; }
int cudaEventCreate(void **p) { *p = (void *)2; return 0; }
int cudaEventCreateWithFlags(void **p, unsigned flags) { *p = (void *)2; return 0; }
int cudaStreamIsCapturing(void *stream, int *is) { *is = 0; return 0; }
int cudaStreamEndCapture(void *stream, void **graph) { static long graphs; *graph = (void *)++graphs; return 0; }
int cudaGraphInstantiate(void **ready, void *graph, unsigned long long flags) { *ready = graph; return 0; }
int cudaGraphLaunch(void *ready, void *stream) { fprintf(stderr, "LAUNCH %ld\\n", (long)ready); return 0; }
int cudaPointerGetAttributes(int *a, const void *p) { memset(a, 0, 32); a[0] = 2; return 0; }
int cublasCreate_v2(void **p) { *p = (void *)3; return 0; }
int cublasLtCreate(void **p) { *p = (void *)3; return 0; }
int cudnnCreate(void **p) { *p = (void *)4; return 0; }
size_t cudnnGetVersion(void) { return 91200; }
size_t cudnnGetCudartVersion(void) { return 13000; }
const char *cudaGetErrorString(int e) { return "none"; }
const char *cudaGetErrorName(int e) { return "none"; }
const char *cublasGetStatusString(int e) { return "none"; }
const char *cublasGetStatusName(int e) { return "none"; }
const char *cudnnGetErrorString(int e) { return "none"; }
void **__cudaRegisterFatBinary(void *f) { static void *p[4]; return p; }
"""
# The head of cudaDeviceProp of CUDA 13; the provider looks at the name, the memory and the compute capability.
_PROPERTIES = """
struct properties {
  char name[256], uuid[16], luid[8]; unsigned mask; size_t memory, shared; int registers, warp; size_t pitch;
  int threads, block[3], grid[3]; size_t constants; int major, minor; size_t align, align2; int processors, rest[160];
};
int cudaGetDeviceProperties(struct properties *p, int device) {
  memset(p, 0, 760); strcpy(p->name, "none"); p->memory = (size_t)16 << 30; p->shared = 49152; p->registers = 65536; p->warp = 32;
  p->pitch = 1u << 31; p->threads = p->block[0] = p->block[1] = 1024; p->block[2] = 64; p->grid[0] = 2147483647;
  p->grid[1] = p->grid[2] = 65535; p->constants = 65536; p->major = 9; p->align = 512; p->align2 = 32; p->processors = 64; return 0;
}
"""
_LOADED = ("libcudnn.so.9", "libcurand.so.10", "libcufft.so.12", "libcuda.so.1")
"""Libraries that the provider opens by itself: their functions are asked for by name, not imported."""
_SESSIONS = """
import json, os, sys
import onnxruntime as ort
for name, (path, sizes, capture) in json.load(open(sys.argv[1])).items():
    options = ort.SessionOptions()
    options.log_severity_level = 0
    for dimension, size in sizes.items():
        options.add_free_dimension_override_by_name(dimension, size)
    os.write(2, f"\\nMODEL {name}\\n".encode())
    cuda = ("CUDAExecutionProvider", {"enable_cuda_graph": str(int(capture))})
    try:
        ort.InferenceSession(path, options, providers=[cuda, "CPUExecutionProvider"])
        os.write(2, b"\\nDONE\\n")
    except Exception as error:
        os.write(2, ("\\nFAILED " + " ".join(str(error).split()) + "\\n").encode())
"""


@dataclass
class Placement:
    """How many nodes of each operator are where, and copies between host and device; ``failure`` where there is no session."""

    cuda: Counter[str] = field(default_factory=Counter)
    cpu: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    failure: str = "no answer"

    @property
    def astray(self) -> dict[str, int]:
        """What the CPU would compute that is no shape arithmetic."""
        return {operator: n for operator, n in self.cpu.items() if operator not in ON_CPU}


def provider() -> Path:
    """The CUDA provider's library; skips where this onnxruntime has none, or where no stand-ins can be made."""
    spec = importlib.util.find_spec("onnxruntime")
    library = Path(str(spec.origin)).parent / "capi" / "libonnxruntime_providers_cuda.so" if spec else Path("none")
    if not library.exists():
        pytest.skip("needs onnxruntime-gpu on Linux")
    if not (shutil.which("gcc") and shutil.which("nm")):
        pytest.skip("needs gcc and nm")
    return library


def make_stand_ins(library: Path, folder: Path) -> None:
    """The libraries that the provider asks for, each with the functions that it imports."""
    imported = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
    wanted: dict[str, set[str]] = defaultdict(set)
    for name, version in re.findall(r"\b((?:__)?(?:cuda|cublas|cufft|curand|nvrtc|cu[A-Z])\w*)(?:@(\S+))?$", imported, re.MULTILINE):
        wanted[version or "libcuda.so.1"].add(name)
    named = {name.decode() for name in re.findall(rb"\0((?:cudnn|cufft|curand)[A-Z]\w+)(?=\0)", library.read_bytes())}
    for soname in _LOADED:
        wanted[soname].update(name for name in named if soname.startswith(f"lib{re.split('[A-Z]', name)[0]}."))
    known = set(re.findall(r"(\w+)\([^()]*\) \{", _ANSWERS + _PROPERTIES))
    for i, (soname, names) in enumerate(wanted.items()):
        source, exported = folder / f"{i}.c", folder / f"{i}.map"
        source.write_text(_ANSWERS + _PROPERTIES + "".join(f"int {name}() {{ return 0; }}\n" for name in sorted(names - known)))
        exported.write_text(f"{soname} {{ global: {' '.join(f'{name};' for name in sorted(names))} local: *; }};")
        script = [] if soname in _LOADED else [f"-Wl,--version-script,{exported}"]
        command = ["gcc", "-w", "-shared", "-fPIC", "-fno-builtin", "-o", folder / soname, source, f"-Wl,-soname,{soname}", *script]
        subprocess.run(command, check=True)


def placements(models: Mapping[str, tuple[Path, Mapping[str, int], bool]], folder: Path) -> dict[str, Placement]:
    """Where each model's nodes go: models by name as (file, sizes of symbolic dimensions, whether CUDA graphs are asked for)."""
    make_stand_ins(provider(), folder)
    job = folder / "models.json"
    job.write_text(json.dumps({name: (str(path), dict(sizes), capture) for name, (path, sizes, capture) in models.items()}))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", _SESSIONS, job], env=environment, capture_output=True, text=True, errors="replace")
    found, here, device = {name: Placement() for name in models}, Placement(), ""
    for line in done.stderr.splitlines():
        if line.startswith("MODEL "):
            here, device = found[line.removeprefix("MODEL ")], ""
        elif line.startswith("FAILED "):
            here.failure = line.removeprefix("FAILED ")
        elif line == "DONE":
            here.failure = ""
        elif "Add Memcpy" in line:
            here.copies += 1
        elif all_on := re.search(r"All nodes placed on \[(\w+)ExecutionProvider\]\. Number of nodes: (\d+)", line):
            (here.cuda if all_on[1] == "CUDA" else here.cpu)["all"] += int(all_on[2])
        elif some_on := re.search(r"placed on \[(\w+)ExecutionProvider\]", line):
            device = some_on[1]
        elif device and (node := re.search(r"VerifyEachNodeIsAssignedToAnEp\]\s+(\w+) \(", line)):
            (here.cuda if device == "CUDA" else here.cpu)[node[1]] += 1
    return found
