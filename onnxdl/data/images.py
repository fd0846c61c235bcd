"""Folders of images, one sub-folder a class, decoded as they are asked for."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnxdl.data.folders import class_files
from onnxdl.data.lazy import LazyArray
from onnxdl.data.split import require
from onnxdl.errors import DataError, FormatError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
LARGEST = 1 << 26
"""Pixels of an image; more would take a GiB while it is decoded."""


class ImageFiles(LazyArray):
    """Image files as a uint8 array of shape (n, channels, height, width); each is decoded when it is asked for.

    Args:
        files: the images' paths.
        size: height and width that every image is resized to (bilinear); by default those of the first.
        channels: 1 grey, 3 colours, 4 with transparency.
        data_format: ``channels_first`` or ``channels_last``.

    Raises:
        DataError: Pillow is not installed.
        FormatError: a file is no image, when it is asked for.
    """

    def __init__(
        self, files: Sequence[Path], size: tuple[int, int] | None = None, *, channels: int = 3, data_format: str = "channels_first"
    ) -> None:
        if channels not in _MODES:
            raise DataError(f"an image has 1, 3 or 4 channels, not {channels}")
        self._pillow = require("PIL.Image", extra="examples")
        self.files, self.channels, self.last = list(files), channels, data_format == "channels_last"
        self.size = size or self._first_size()
        self.shape = (len(files), *self.size, channels) if self.last else (len(files), channels, *self.size)
        self.dtype = np.dtype(np.uint8)

    def read(self, places: np.ndarray) -> np.ndarray:
        images = np.empty((len(places), *self.shape[1:]), np.uint8)
        for image, place in zip(images, places, strict=True):
            image[...] = self._decoded(self.files[place])
        return images

    def _first_size(self) -> tuple[int, int]:
        width, height = self._opened(self.files[0]).size
        return height, width

    def _decoded(self, file: Path) -> np.ndarray:
        height, width = self.size
        opened = self._opened(file).convert(_MODES[self.channels])
        if opened.size != (width, height):
            opened = opened.resize((width, height), self._pillow.Resampling.BILINEAR)
        pixels = np.asarray(opened).reshape(height, width, self.channels)
        return pixels if self.last else pixels.transpose(2, 0, 1)

    def _opened(self, file: Path) -> Any:
        try:
            with self._pillow.open(io.BytesIO(file.read_bytes())) as image:  # a file would be asked for as much as it claims to hold
                if image.width * image.height > LARGEST:
                    raise FormatError(f"{file} has {image.width} x {image.height} pixels, more than {LARGEST}; make it smaller")
                image.load()
                return image
        except (OSError, SyntaxError, ValueError, self._pillow.DecompressionBombError) as error:  # what Pillow raises for damaged files
            raise FormatError(f"{file} is no image that can be read: {error}") from error


class ImageFolder(NamedTuple):
    """A folder of images: the images, the number of each one's class, and the classes' names."""

    x: ImageFiles
    y: np.ndarray
    classes: list[str]


def read_images(
    folder: str | os.PathLike[str], size: tuple[int, int] | None = None, *, channels: int = 3, data_format: str = "channels_first"
) -> ImageFolder:
    """The images of a folder with one sub-folder a class; see ``ImageFiles``. Classes are numbered by their sorted names."""
    files, labels, classes = class_files(folder, SUFFIXES)
    return ImageFolder(ImageFiles(files, size, channels=channels, data_format=data_format), labels, classes)
