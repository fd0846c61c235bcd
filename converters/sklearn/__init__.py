"""scikit-learn's linear models and multi-layer perceptrons, from the fitted object: its files are pickles, which are not read."""

from __future__ import annotations

import sys
from typing import Any

from onnxdl.converters.contract import Converter
from onnxdl.train.model import Model


def read(source: Any, model: Model | None = None) -> Model:
    """A fitted estimator, or a Pipeline of scalers and one, as layers: classifiers give probabilities."""
    from onnxdl.converters.sklearn.reading import read_estimator

    return read_estimator(source)


def recognises(source: Any) -> bool:
    """Whether it is an estimator of scikit-learn's."""
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(source, base.BaseEstimator)


CONVERTER = Converter("sklearn", (), recognises, read)
