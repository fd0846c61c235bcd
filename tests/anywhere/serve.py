"""Serves the page that trains digits in the browser: ``python -m tests.anywhere.serve``, then open the address that it prints.

It writes the model and the data, scikit-learn's digits, into a folder of their own, and serves them with the trainer and
onnxruntime-web, from node_modules where that is installed and from its CDN otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from onnxdl.models import digits

HERE = Path(__file__).parent
ORT = HERE / "node_modules" / "onnxruntime-web" / "dist"


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, then of the page's, then the trainer's; isolated from other origins, as threads in wasm ask for."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def translate_path(self, path: str) -> str:
        name = path.split("?")[0].lstrip("/") or "index.html"
        if ".." in name.split("/"):
            return str(Path(self.directory) / "nothing")
        roots = [ORT] if name.startswith("ort/") else [Path(self.directory), HERE / "page", HERE]
        found = [root / name.removeprefix("ort/") for root in roots if (root / name.removeprefix("ort/")).is_file()]
        return str(found[0] if found else Path(self.directory) / name)

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "credentialless")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[str]:
    """Serves a folder, the page and the trainer on this machine alone; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def write_digits(folder: Path) -> None:
    """digits.onnx, untrained, and digits.bin: (n, 65) bytes, 64 pixels from 0 to 16 and the digit, those to test on last."""
    (x, y), (x_test, y_test) = digits.data()
    model = digits.build()
    model.ensure_targets(y)
    model.save(folder / "digits.onnx")
    pixels = np.rint(np.concatenate([x, x_test]).reshape(-1, 64) * 16).astype(np.uint8)
    np.concatenate([pixels, np.concatenate([y, y_test])[:, None].astype(np.uint8)], axis=1).tofile(folder / "digits.bin")


def main() -> None:
    """Serves until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    with tempfile.TemporaryDirectory() as folder:
        write_digits(Path(folder))
        with serving(Path(folder), parser.parse_args().port) as url:
            print(f"open {url} (Ctrl-C ends)", flush=True)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print()


if __name__ == "__main__":
    main()
