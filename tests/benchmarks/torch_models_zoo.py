"""The PyTorch models that ``tests.benchmarks.torch_models`` tries: torchvision's, transformers' and timm's, small inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Made = tuple[Any, dict[str, Any]]
"""A module, and inputs by name."""

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

SIDES = {
    "torchvision/inception_v3": 299,
    "torchvision/vit_b_16": 224,
    "torchvision/maxvit_t": 224,
    "torchvision/densenet121": 96,
    "timm/inception_v3": 128,
    "timm/inception_v4": 128,
}
"""Sides of images where 64 (torchvision) and 96 (timm) are not enough: for one, to have batch statistics of more than two numbers."""


def _torchvision() -> Iterator[tuple[str, Callable[[], Made]]]:
    import torch
    import torchvision

    for name in TORCHVISION:

        def make(name: str = name) -> Made:
            more = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
            size = SIDES.get(f"torchvision/{name}", 64)
            return torchvision.models.get_model(name, weights=None, **more), {"x": torch.randn(3, 3, size, size)}

        yield f"torchvision/{name}", make


def _timm() -> Iterator[tuple[str, Callable[[], Made]]]:
    import timm
    import torch

    for name in TIMM:

        def make(name: str = name) -> Made:
            module = timm.create_model(name, pretrained=False, num_classes=10)
            config = module.pretrained_cfg
            least = max(96, (config.get("min_input_size") or (0, 0, 96))[-1])
            size = config["input_size"][-1] if config.get("fixed_input_size") else SIDES.get(f"timm/{name}", least)
            return module, {"x": torch.randn(2, 3, size, size)}

        yield f"timm/{name}", make


def _transformers() -> Iterator[tuple[str, Callable[[], Made]]]:
    import torch
    import transformers as hf

    ids = {"input_ids": torch.randint(0, 90, (2, 7)), "attention_mask": torch.tensor([[1] * 7, [1] * 4 + [0] * 3])}
    small = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}

    def made(kind: str, config: Any, inputs: dict[str, Any]) -> Callable[[], Made]:
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
    distilbert = hf.DistilBertConfig(vocab_size=99, dim=32, n_layers=2, n_heads=4, hidden_dim=37)
    yield "transformers/distilbert", made("DistilBertModel", distilbert, ids)


FAMILIES: dict[str, Callable[[], Iterator[tuple[str, Callable[[], Made]]]]] = {
    "torchvision": _torchvision,
    "transformers": _transformers,
    "timm": _timm,
}
