"""PyTorch's models side by side with what they become here: ``python -m tests.benchmarks.torch_models [torchvision|transformers|timm]``.

For each model, random weights and statistics: the largest difference in eval and in training (dropout at 0) of the
outputs' scale, of the gradients (each as a part of its weight's largest), of the running statistics, and whether the
state goes back strictly. In float32 a deep net's gradient jumps where rounding turns a ReLU on or off: where gradients
are further apart than they may be, both are compared with torch's in float64, other inputs are tried, and five times
torch's own distance holds. Needs torch, torchvision, timm and transformers; only what is installed is tried.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import onnxdl as ox
from tests.converters.torch_parity import away, factors, flat, ours, theirs

EVAL, GRADIENTS = 1e-4, 1e-3

TORCHVISION = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet1_0",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x1_0",
    "squeezenet1_1",
    "swin_t",
    "vit_b_16",
)

TIMM = (
    "resnet18",
    "resnet26d",
    "resnetv2_50",
    "seresnet18",
    "ecaresnet26t",
    "res2net50_26w_4s",
    "selecsls42b",
    "densenet121",
    "dla34",
    "hrnet_w18_small",
    "dpn68",
    "efficientnet_b0",
    "mobilenetv3_small_050",
    "mobilenetv2_050",
    "mnasnet_small",
    "mixnet_s",
    "fbnetc_100",
    "ghostnet_050",
    "hardcorenas_a",
    "lcnet_050",
    "tinynet_e",
    "regnetx_002",
    "regnety_002",
    "rexnet_100",
    "repvgg_a0",
    "vgg11_bn",
    "xception41",
    "inception_v3",
    "inception_v4",
    "nf_resnet26",
    "convnext_atto",
    "convmixer_768_32",
    "mixer_s32_224",
    "gmlp_ti16_224",
    "resmlp_12_224",
    "vit_tiny_patch16_224",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
    "pit_ti_224",
    "cait_xxs24_224",
    "coat_tiny",
    "poolformer_s12",
    "edgenext_xx_small",
    "mobilevit_xxs",
    "levit_128s",
    "efficientformer_l1",
    "pvt_v2_b0",
    "crossvit_tiny_240",
    "xcit_nano_12_p16_224",
    "visformer_tiny",
)


def _torchvision() -> Iterator[tuple[str, Callable[[], tuple[Any, dict[str, Any]]]]]:
    import torch
    import torchvision

    for name in TORCHVISION:
        size = {"inception_v3": 299, "vit_b_16": 224, "swin_t": 64, "maxvit_t": 224}.get(name, 96 if "dense" in name else 64)

        def make(name: str = name, size: int = size) -> tuple[Any, dict[str, Any]]:
            more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            return torchvision.models.get_model(name, weights=None, **more), {"x": torch.randn(3, 3, size, size)}

        yield f"torchvision/{name}", make


def _timm() -> Iterator[tuple[str, Callable[[], tuple[Any, dict[str, Any]]]]]:
    import timm
    import torch

    for name in TIMM:

        def make(name: str = name) -> tuple[Any, dict[str, Any]]:
            module = timm.create_model(name, pretrained=False, num_classes=10)
            config = module.pretrained_cfg
            size = config["input_size"][-1] if config.get("fixed_input_size") else max(96, (config.get("min_input_size") or (0, 0, 96))[-1])
            return module, {"x": torch.randn(2, 3, size, size)}

        yield f"timm/{name}", make


def _transformers() -> Iterator[tuple[str, Callable[[], tuple[Any, dict[str, Any]]]]]:
    import torch
    import transformers as hf

    ids = {"input_ids": torch.randint(0, 90, (2, 7)), "attention_mask": torch.tensor([[1] * 7, [1] * 4 + [0] * 3])}
    small = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}

    def made(kind: str, config: Any, inputs: dict[str, Any]) -> Callable[[], tuple[Any, dict[str, Any]]]:
        config.use_cache = False
        return lambda: (getattr(hf, kind)(config), inputs)

    yield "transformers/bert", made("BertModel", hf.BertConfig(**small), ids)
    gpt2 = hf.GPT2Config(vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    yield "transformers/gpt2", made("GPT2LMHeadModel", gpt2, ids)
    vit = {k: v for k, v in small.items() if k != "vocab_size"}
    image = {"pixel_values": torch.randn(2, 3, 32, 32)}
    yield "transformers/vit", made("ViTModel", hf.ViTConfig(**vit, image_size=32, patch_size=8), image)
    yield "transformers/llama", made("LlamaModel", hf.LlamaConfig(**small, num_key_value_heads=2, max_position_embeddings=64), ids)
    t5 = hf.T5Config(vocab_size=99, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    yield "transformers/t5-encoder", made("T5EncoderModel", t5, ids)
    yield (
        "transformers/distilbert",
        made("DistilBertModel", hf.DistilBertConfig(vocab_size=99, dim=32, n_layers=2, n_heads=4, hidden_dim=37), ids),
    )


def prepare(module: Any) -> None:
    """Dropout of every kind off, random running statistics."""
    import torch

    for part in module.modules():
        for option in ("p", "drop_prob", "dropout", "attn_drop_rate", "attention_dropout"):
            if isinstance(getattr(part, option, None), float):
                setattr(part, option, 0.0)
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)


def measured(module: Any, inputs: dict[str, Any], *, by_name: bool) -> dict[str, Any]:
    """All differences of one module."""
    import torch

    prepare(module)
    start = time.perf_counter()
    model = ox.load(module, example_inputs=inputs if by_name else tuple(inputs.values()))
    took = time.perf_counter() - start
    names = [s.name for s in model.input_specs]
    arrays = dict(zip(names, [v.numpy() for v in inputs.values()], strict=True))
    module.eval()
    with torch.no_grad():
        expected = flat(module(**inputs) if by_name else module(*inputs.values()))
    got = model.predict_on_batch(arrays if len(arrays) > 1 else next(iter(arrays.values())))
    got = got if isinstance(got, list) else list(got.values()) if isinstance(got, dict) else [got]
    result: dict[str, Any] = {"load": took, "eval": max(away(g, e.numpy()) for g, e in zip(got, expected, strict=False))}
    reference = theirs(module, inputs, factors, by_name=by_name)
    outputs = [v for n, v in reference.items() if n.startswith("output/")]
    found = ours(model, arrays, factors(outputs))
    renamed = dict(zip(inputs, names, strict=True))
    result["train"] = max(away(found[n], v) for n, v in reference.items() if n.startswith("output/"))
    found = {n if n[5:] not in names else "grad/" + next(k for k, v in renamed.items() if v == n[5:]): a for n, a in found.items()}
    gradients = {n: v for n, v in reference.items() if n.startswith("grad/")}
    result["grad"], result["worst"] = _furthest(found, gradients)
    result["own"] = 0.0
    if result["grad"] >= GRADIENTS:
        exact = {n: v.double() if v.is_floating_point() else v for n, v in inputs.items()}
        seeds = [None if f is None else f.astype(float) for f in factors(outputs)]
        double = theirs(copy.deepcopy(module).double(), exact, lambda _: seeds, by_name=by_name)
        gradients = {n: v for n, v in double.items() if n.startswith("grad/")}
        result["grad"], result["worst"] = _furthest(found, gradients)
        result["own"], _ = _furthest(reference, gradients)
    moved = [away(found[n], v) for n, v in reference.items() if n.startswith("next/") and n in found]
    result["moved"] = max(moved, default=0.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.pth"
        model.export(path, format="torch")
        module.load_state_dict(torch.load(path, weights_only=True), strict=True)
    result["strict"] = True
    return result


def _furthest(found: dict[str, Any], gradients: dict[str, Any]) -> tuple[float, str]:
    """The largest difference of a gradient as a part of its largest element, and whose it is."""
    scale = max(float(np.abs(v).max()) for v in gradients.values())
    return max(
        (float(np.abs(found.get(n, np.zeros_like(v)) - v).max()) / max(float(np.abs(v).max()), 1e-3 * scale), n[5:])
        for n, v in gradients.items()
    )


def _line(r: dict[str, Any]) -> str:
    numbers = f"eval {r['eval']:.1e} train {r['train']:.1e} grad {r['grad']:.1e} (own {r['own']:.0e}) {r['worst']:30}"
    return f"load {r['load']:5.1f}s {numbers} statistics {r['moved']:.1e} strict {r['strict']}"


def main() -> int:
    """Tries all models of the families named, and says how many hold."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=["torchvision", "transformers", "timm"])
    parser.add_argument("--only", default="", help="models whose names hold this")
    told = parser.parse_args()
    held = tried = 0
    for family in told.families:
        for name, make in {"torchvision": _torchvision, "transformers": _transformers, "timm": _timm}[family]():
            if told.only and not any(part in name for part in told.only.split(",")):
                continue
            tried += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    for seed in range(3):
                        torch.manual_seed(seed)
                        module, inputs = make()
                        r = measured(module, inputs, by_name=family == "transformers")
                        near = r["eval"] < EVAL and r["train"] < EVAL * 10 and r["moved"] < GRADIENTS and r["strict"]
                        good = near and r["grad"] < max(GRADIENTS, 5 * r["own"])
                        if good or not near:
                            break
                except (ox.OnnxdlError, RuntimeError, ValueError, KeyError, AttributeError) as error:
                    print(f"{name:40} FAILS {type(error).__name__}: {str(error)[:300]}", flush=True)
                    continue
            held += good
            print(f"{name:40} {'ok' if good else 'NO':3} {_line(r)} seed {seed}", flush=True)
    print(f"{held} of {tried}")
    return 0 if held == tried else 1


if __name__ == "__main__":
    sys.exit(main())
