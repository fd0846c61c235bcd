"""The gallery's models that are trained, each with targets, without data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import onnxdl as ox
from onnxdl.models import (
    autoencoder,
    convnet,
    custom_layer,
    dcgan,
    digits,
    embedding,
    gan,
    gpt,
    mlp,
    resnet,
    text_lstm,
    vgg16,
    word2vec,
)

OTHERS = {
    "deconvnet": "trains convnet",
    "filters": "one convolution, made in its loop",
    "nonlinearities": "no weights",
    "toy_graph": "no weights",
}
BUILDS: dict[str, Callable[[], ox.Model]] = {
    "autoencoder": autoencoder.build,
    "autoencoder_variational": lambda: autoencoder.build_variational()[0],
    "convnet": convnet.build,
    "custom_layer": custom_layer.build,
    "dcgan": lambda: gan.game(dcgan.build(), dcgan.build_discriminator(), 1e-3),
    "dcgan_discriminator": lambda: discriminator(dcgan.build(), dcgan.build_discriminator()),
    "digits": digits.build,
    "embedding": embedding.build,
    "gan": lambda: gan.game(gan.build(), gan.network(1, "leaky_relu", "discriminator"), 1e-3),
    "gpt": gpt.build,
    "mlp": mlp.build,
    "resnet": lambda: resnet.build(8),
    "text_lstm": text_lstm.build,
    "text_lstm_masked": text_lstm.build_masked,
    "vgg16": vgg16.build,
    "word2vec": lambda: word2vec.build(200),
    "word2vec_cbow": lambda: word2vec.build(200, "cbow"),
}


def discriminator(generator: ox.Model, judge: ox.Model) -> ox.Model:
    """The other side of the game."""
    gan.game(generator, judge, 1e-3)
    return judge


def built(name: str) -> ox.Model:
    """The model, ready to be exported: its target is class numbers where its loss is sparse, else of the output's shape."""
    model = BUILDS[name]()
    if not model.input_specs:
        model.ensure_built(np.zeros((2, text_lstm.LENGTH), np.int64))
    shape = [d if isinstance(d, int) else 4 for d in model.output_shapes[0]]
    assert model.compiled is not None and len(model.output_shapes) == 1
    sparse = "sparse" in str(getattr(model.compiled.loss, "name", model.compiled.loss))
    model.ensure_targets(np.zeros(shape[:-1], np.int64) if sparse else np.zeros(shape, np.float32))
    return model
