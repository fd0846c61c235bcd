"""The cases of linear algebra, layers, losses and random numbers; see ``torch_cases``."""

from __future__ import annotations

import numpy as np

from tests.converters.torch_cases import F, K, N, P, case, of_chance

# ---- linear algebra ------------------------------------------------------------------------------------------------------
case("mm matmul linalg_matmul", F(2, 3), F(3, 4))
case("bmm matmul", F(2, 2, 3), F(2, 3, 4))
case("mv", F(2, 3), F(3))
case("dot vdot linalg_vecdot", F(3), F(3))
case("outer ger", F(3), F(2))
case("addmm", F(4), F(2, 3), F(3, 4), beta=0.5, alpha=2)
case("addmv", F(2), F(2, 3), F(3))
case("addbmm", F(2, 4), F(5, 2, 3), F(5, 3, 4))
case("baddbmm", F(5, 2, 4), F(5, 2, 3), F(5, 3, 4), beta=0.5)
case("addr", F(2, 3), F(2), F(3), alpha=2)
case("linear", F(2, 3), F(4, 3), F(4))
case("linear", F(2, 2, 3), F(4, 3))
case("linear", F(3), F(4, 3), F(4))
case("bilinear", F(2, 3), F(2, 4), F(5, 3, 4), F(5))
case("einsum", "bij,bjk->bik", [F(2, 2, 3), F(2, 3, 4)])
case("einsum", "ij, j", [F(2, 3), F(3)])
case("tensordot", F(2, 3, 4), F(4, 3, 5), [1, 2], [1, 0])
case("trace", F(3, 4))
case("linalg_cross", F(2, 3), F(2, 3))
case("kron", F(2, 3), F(3, 2))
case("det linalg_det", F(2, 3, 3))
case("cosine_similarity", F(2, 3), F(2, 3))
case("pairwise_distance", F(2, 3), F(2, 3))
case("_cdist_forward", F(3, 2), F(4, 2), 2.0, None)
case("cdist", F(3, 2), F(4, 2), 1.0)

# ---- convolution and pooling ---------------------------------------------------------------------------------------------
case("conv1d", F(2, 4, 9), F(6, 2, 3), F(6), [2], [1], [2], 2)
case("conv2d", F(1, 2, 6, 7), F(3, 2, 3, 2), F(3), [1, 2], [1, 0])
case("conv2d", F(2, 6, 7), F(3, 2, 3, 2))
case("conv3d", F(1, 2, 4, 4, 4), F(3, 2, 2, 2, 2))
case("conv1d.padding", F(2, 2, 9), F(3, 2, 4), F(3), [1], "same")
case("conv2d.padding", F(1, 2, 6, 7), F(3, 2, 3, 2), F(3), [1, 1], "same", [2, 1])
case("conv3d.padding", F(1, 1, 4, 4, 4), F(1, 1, 2, 2, 2), None, [1, 1, 1], "valid")
case("conv_transpose1d", F(2, 2, 5), F(2, 3, 3), F(3), [2], [1], [1])
case("conv_transpose2d.input", F(1, 2, 3, 4), F(2, 2, 3, 2), F(4), [2, 1], [1, 0], [1, 0], 2)
case("conv_transpose3d.input", F(1, 2, 2, 2, 2), F(2, 1, 2, 2, 2))
case("convolution", F(1, 2, 6, 7), F(3, 2, 3, 2), F(3), [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
case("convolution", F(1, 2, 3, 4), F(2, 2, 3, 2), None, [2, 1], [1, 0], [1, 1], True, [1, 0], 1)
case("im2col", F(1, 2, 5, 6), [2, 3], [1, 1], [1, 0], [2, 1])
case("col2im", F(1, 8, 9), [4, 4], [2, 2], [1, 1], [0, 0], [1, 1])
case("max_pool1d", F(1, 2, 9), [3], [2], [1])
case("max_pool2d max_pool2d_with_indices", F(1, 2, 6, 7), [3, 2], [2, 2], [1, 0], [1, 2], True)
case("max_pool1d_with_indices", F(1, 2, 9), [3], [2])
case("max_pool3d max_pool3d_with_indices", F(1, 2, 4, 4, 4), [2, 2, 2])
case("avg_pool1d", F(1, 2, 9), [3], [2], [1])
case("avg_pool2d", F(1, 2, 6, 7), [3, 2], [2, 2], [1, 0], True)
case("avg_pool2d", F(1, 2, 6, 7), [3, 3], [2, 2], [1, 1], False, False)
case("avg_pool2d", F(2, 6, 7), [2, 2], [2, 2], [0, 0], False, True, 3)
case("avg_pool3d", F(1, 2, 4, 4, 4), [2, 2, 2])
case("adaptive_avg_pool1d adaptive_max_pool1d", F(1, 2, 7), [3], first=1)
case("adaptive_avg_pool2d _adaptive_avg_pool2d", F(1, 2, 6, 8), [1, 1])
case("adaptive_avg_pool2d", F(1, 2, 6, 8), [3, 2])
case("adaptive_max_pool2d", F(1, 2, 6, 7), [4, 3], first=1)
case("adaptive_avg_pool3d _adaptive_avg_pool3d", F(1, 2, 5, 4, 4), [2, 2, 2])
case("adaptive_max_pool3d", F(1, 2, 4, 4, 4), [2, 2, 2], first=1)
case("max_unpool2d", F(1, 1, 2, 2), N([[[[0, 3], [9, 15]]]]), [4, 4])

# ---- resizing ------------------------------------------------------------------------------------------------------------
case("upsample_nearest1d _upsample_nearest_exact1d", F(1, 2, 5), [8])
case("upsample_nearest2d _upsample_nearest_exact2d", F(1, 2, 5, 4), [8, 8], 1.6, 2.0)
case("upsample_nearest3d _upsample_nearest_exact3d", F(1, 1, 2, 3, 2), [4, 6, 4])
case("upsample_nearest1d.vec _upsample_nearest_exact1d.vec", F(1, 2, 5), None, [2.0])
case("upsample_nearest2d.vec _upsample_nearest_exact2d.vec", F(1, 2, 5, 4), None, [2.0, 1.5])
case("upsample_nearest3d.vec _upsample_nearest_exact3d.vec", F(1, 1, 2, 3, 2), [4, 6, 4], None)
case("upsample_linear1d", F(1, 2, 5), [8], False)
case("upsample_bilinear2d upsample_bicubic2d", F(1, 2, 5, 4), [8, 9], True)
case("upsample_bilinear2d upsample_bicubic2d", F(1, 2, 5, 4), [3, 9], False)
case("upsample_trilinear3d", F(1, 1, 2, 3, 2), [4, 6, 4], False)
case("upsample_linear1d.vec", F(1, 2, 5), [8], True, None)
case("upsample_bilinear2d.vec upsample_bicubic2d.vec", F(1, 2, 5, 4), None, False, [2.0, 1.5])
case("upsample_trilinear3d.vec", F(1, 1, 2, 3, 2), None, True, [2.0, 2.0, 2.0])
case("_upsample_bilinear2d_aa", F(1, 2, 8, 6), [4, 3], False)
case("_upsample_bilinear2d_aa.vec", F(1, 2, 8, 6), [4, 3], False, None)
case("grid_sampler grid_sampler_2d", F(1, 2, 4, 5), K(P(1, 3, 3, 2, low=-0.9, high=0.9)), 0, 0, False)
case("grid_sampler_3d", F(1, 1, 3, 3, 3), K(P(1, 2, 2, 2, 3, low=-0.9, high=0.9)), 0, 0, True)
case("affine_grid_generator", F(1, 2, 3), [1, 1, 3, 4], False)

# ---- normalization, attention --------------------------------------------------------------------------------------------
_bn = (F(3, 2, 4), P(2), F(2))
case("batch_norm", *_bn, K(F(2)), K(P(2)), False, 0.1, 1e-5, False)
case("batch_norm", *_bn, None, None, True, 0.1, 1e-5, False)
case("native_batch_norm _native_batch_norm_legit", *_bn, K(F(2)), K(P(2)), False, 0.1, 1e-5, first=1)
case("_native_batch_norm_legit.no_stats", *_bn, True, 0.1, 1e-5)
case("_native_batch_norm_legit_functional", *_bn, K(F(2)), K(P(2)), True, 0.1, 1e-5, first=3)
case("_native_batch_norm_legit_no_training", *_bn, K(F(2)), K(P(2)), 0.1, 1e-5, first=1)
case("instance_norm", *_bn, None, None, True, 0.1, 1e-5, False)
case("instance_norm", *_bn, K(F(2)), K(P(2)), False, 0.1, 1e-5, False)
case("layer_norm", F(2, 3, 4), [3, 4], F(3, 4), F(3, 4))
case("layer_norm", F(2, 3), [3])
case("native_layer_norm", F(2, 3), [3], F(3), F(3), 1e-5)
case("group_norm", F(2, 6, 3), 3, F(6), F(6))
case("native_group_norm", F(2, 6, 3), F(6), F(6), 2, 6, 3, 3, 1e-5)
case("rms_norm", F(2, 3), [3], F(3))
case("_fused_rms_norm", F(2, 3), [3], F(3), 1e-5)
case("_weight_norm _weight_norm_interface", F(2, 3), P(2, 1), 0)
case("renorm", F(2, 3), 2, 0, 0.5)
_qkv = (F(2, 2, 3, 4), F(2, 2, 5, 4), F(2, 2, 5, 4))
case("scaled_dot_product_attention", *_qkv)
case("scaled_dot_product_attention", *_qkv, is_causal=True, scale=0.3)
case("scaled_dot_product_attention", *_qkv, np.array([[True] * 5, [False] * 5, [True] * 2 + [False] * 3]))
case("scaled_dot_product_attention", F(2, 4, 3, 4), F(2, 2, 5, 4), F(2, 2, 5, 4), F(3, 5), enable_gqa=True)
case("_scaled_dot_product_flash_attention_for_cpu", *_qkv)

# ---- recurrent -----------------------------------------------------------------------------------------------------------


def _weights(gates: int, inputs: int, hidden: int, layers: int, directions: int, biases: bool) -> list[np.ndarray]:
    found = []
    for layer in range(layers):
        for _ in range(directions):
            width = inputs if not layer else hidden * directions
            found += [F(gates * hidden, width), F(gates * hidden, hidden)]
            found += [F(gates * hidden), F(gates * hidden)] if biases else []
    return found


case("lstm.input", F(4, 2, 3), [F(4, 2, 2), F(4, 2, 2)], _weights(4, 3, 2, 2, 2, True), True, 2, 0.0, True, True, False)
case("lstm.input", F(2, 4, 3), [F(1, 2, 2), F(1, 2, 2)], _weights(4, 3, 2, 1, 1, False), False, 1, 0.0, True, False, True)
case(
    "lstm.input",
    F(4, 2, 3),
    [F(4, 2, 2), F(4, 2, 3)],
    [p for width in (3, 3, 4, 4) for p in (F(12, width), F(12, 2), F(12), F(12), F(2, 3))],
    True, 2, 0.0, True, True, False,
)  # fmt: skip
case("lstm.input", F(2, 4, 3), [F(1, 2, 2), F(1, 2, 3)], [F(12, 3), F(12, 2), F(2, 3)], False, 1, 0.0, True, False, True)
case("gru.input", F(2, 4, 3), F(2, 2, 2), _weights(3, 3, 2, 1, 2, True), True, 1, 0.0, True, True, True)
case("rnn_tanh.input rnn_relu.input", F(4, 2, 3), F(2, 2, 2), _weights(1, 3, 2, 2, 1, True), True, 2, 0.0, True, False, False)
case("lstm_cell", F(2, 3), [F(2, 2), F(2, 2)], *_weights(4, 3, 2, 1, 1, True))
case("gru_cell", F(2, 3), F(2, 2), *_weights(3, 3, 2, 1, 1, True))
case("rnn_tanh_cell rnn_relu_cell", F(2, 3), F(2, 2), *_weights(1, 3, 2, 1, 1, True))

# ---- losses --------------------------------------------------------------------------------------------------------------
case("mse_loss l1_loss smooth_l1_loss huber_loss", F(2, 3), F(2, 3) + 0.03)
case("mse_loss l1_loss smooth_l1_loss huber_loss", F(2, 3), F(2, 3) + 0.03, 0)
case("binary_cross_entropy", P(2, 3), K(P(2, 3)), K(P(3)), 2)
case("binary_cross_entropy_with_logits", F(2, 3), K(P(2, 3)), K(P(3)), K(P(3)))
case("binary_cross_entropy_with_logits", F(2, 3), K(P(2, 3)))
case("kl_div", F(2, 3), K(P(2, 3)), 2)
case("kl_div", F(2, 3), K(F(2, 3)), 1, log_target=True)
case("nll_loss_nd nll_loss cross_entropy_loss", F(3, 4), N(0, 3, -100), K(P(4)))
case("nll_loss_nd cross_entropy_loss", F(2, 4, 2), N([[0, 3], [1, 1]]), None, 0)
case("nll_loss2d", F(2, 4, 2, 1), N([[[0], [3]], [[1], [1]]]), None)
case("nll_loss_forward", F(3, 4), N(0, 3, 1), None, 1, -100)
case("nll_loss2d_forward", F(2, 4, 2, 1), N([[[0], [3]], [[1], [1]]]), K(P(4)), 2, -100)
case("cross_entropy_loss", F(3, 4), N(0, 3, -100), K(P(4)), label_smoothing=0.1)
case("cross_entropy_loss", F(3, 4), K(P(3, 4)), label_smoothing=0.1)
case("soft_margin_loss hinge_embedding_loss", F(4), K(np.array([1, -1, 1, -1], np.float32)))
case("margin_ranking_loss", F(4), F(4), K(np.array([1, -1, 1, -1], np.float32)), 0.3)
case("poisson_nll_loss", F(4), K(P(4, high=3)), True, True, 1e-8, 1)
case("poisson_nll_loss", P(4), K(P(4, high=3)), False, False, 1e-8, 2)
case("cosine_embedding_loss", F(2, 3), F(2, 3), K(np.array([1, -1], np.float32)), 0.1)

# ---- dropout and random numbers ------------------------------------------------------------------------------------------
case("dropout feature_dropout alpha_dropout feature_alpha_dropout", F(2, 3, 4), 0.5, False)
case("dropout native_dropout", F(2, 3), 0.0, True)
of_chance("dropout alpha_dropout", np.ones((50, 60), np.float32), 0.3, True)
of_chance("feature_dropout feature_alpha_dropout", np.ones((50, 60, 2), np.float32), 0.3, True)
of_chance("native_dropout", np.ones((50, 60), np.float32), 0.3, True)
of_chance("rrelu", -np.ones((50, 60), np.float32), 0.1, 0.5, True)
of_chance("bernoulli", np.full((50, 60), 0.3, np.float32))
of_chance("bernoulli_.float", np.ones((50, 60), np.float32), 0.3)
of_chance("bernoulli.p", np.ones((50, 60), np.float32), 0.3)
of_chance("bernoulli.Tensor", np.ones((50, 60), np.float32), np.full((50, 60), 0.3, np.float32))
of_chance("rand randn", [50, 60])
of_chance("rand_like randn_like normal_functional", np.ones((50, 60), np.float32))
of_chance("uniform", np.ones((50, 60), np.float32), -1.0, 2.0)
of_chance("normal_", np.ones((50, 60), np.float32), 1.0, 2.0)
of_chance("randint", 10, [50, 60])
of_chance("randint.low", 5, 10, [50, 60])
of_chance("randint_like", np.ones((50, 60), np.float32), 10)
of_chance("randint_like.low_dtype", np.ones((50, 60), np.float32), 5, 10)
of_chance(
    "scaled_dot_product_attention",
    np.ones((1, 30, 40), np.float32),
    np.ones((1, 60, 40), np.float32),
    np.ones((1, 60, 40), np.float32),
    None,
    0.5,
)

BY_HAND = frozenset(
    [
        "empty.memory_format",  # its contents are undefined
        "empty_like",
        "new_empty",
        "new_empty_strided",
        "masked_select",  # sizes that depend on data
        "nonzero",
        "repeat_interleave.self_Tensor",
        "item",
        "_local_scalar_dense",
    ]
)
"""Operators with a test of their own; so have all of the family ``symbolic``."""
