"""Names of operators and kernels, and which kind of work they are."""

from __future__ import annotations

import pytest

from harness.analysis.trace.classify import AttentionShapes, classify_kernel, classify_operator

OPERATORS = {
    "matmul": [
        "aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::matmul", "mkldnn::_linear_pointwise",
        "aten::mkldnn_linear", "autograd::engine::evaluate_function: AddmmBackward0", "MmBackward0",
        "aten::convolution", "aten::convolution_backward",
    ],
    "attention": [
        "aten::scaled_dot_product_attention", "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward", "aten::_flash_attention_forward",
        "aten::_efficient_attention_backward", "ScaledDotProductEfficientAttentionBackward0", "aten::_softmax",
        "aten::_softmax_backward_data", "SoftmaxBackward0", "flash_attn::_flash_attn_varlen_forward",
        "FlashAttnFuncBackward",
    ],
    "elementwise": [
        "aten::add_", "aten::native_layer_norm", "aten::native_layer_norm_backward", "aten::gelu_backward",
        "aten::native_dropout", "aten::bernoulli_", "aten::sum", "aten::linalg_vector_norm", "MulBackward0",
        "triton_poi_fused_add_gelu_3", "speedproof::dropout_add_norm",
    ],
    "loss": [
        "aten::cross_entropy_loss", "aten::nll_loss_forward", "aten::nll_loss_backward", "aten::_log_softmax",
        "aten::_log_softmax_backward_data", "LogSoftmaxBackward0",
        "autograd::engine::evaluate_function: NllLossBackward0",
    ],
    "optimizer": ["aten::_fused_adamw_", "aten::_foreach_addcdiv_", "aten::_foreach_norm"],
    "copies": [
        "aten::copy_", "aten::to", "aten::_to_copy", "aten::clone", "aten::contiguous", "aten::cat", "aten::zero_",
        "aten::fill_", "aten::index_select", "aten::embedding_dense_backward", "ToCopyBackward0", "EmbeddingBackward0",
        "aten::_foreach_copy_",
    ],
    None: [
        "aten::view", "aten::transpose", "aten::as_strided", "aten::empty", "aten::detach", "aten::t", "ViewBackward0",
        "TransposeBackward0", "torch::autograd::AccumulateGrad", "aten::something_new", "detach",
        "autograd::engine::evaluate_function: torch::autograd::AccumulateGrad",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "category"), [(name, category) for category, names in OPERATORS.items() for name in names]
)
def test_operators_by_name(name: str, category: str | None) -> None:
    assert classify_operator(name) == category


KERNELS = {
    "matmul": [
        "ampere_sgemm_128x64_tn", "sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x32_stage4_warpsize2x2x1",
        "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_TNT",
        "void cutlass::Kernel2<cutlass_80_wmma_tensorop_bf16_s161616gemm_bf16_16x16_128x2_tn_align8>(Params)",
        "void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16>(cublasLt::cublasSplitKParams<float>)",
        "void gemv2T_kernel_val<int, int, float, float, float, float, 128, 16, 4, 4, false>(float)",
        "void gemmSN_TN_kernel<float, 128, 16, 2, 4, 4, 4, true>(cublasGemmSmallNParams<float>)",
        "triton_tem_fused_addmm_gelu_7", "void cudnn::cnn::wgrad2d_c1_k1_nhwc_kernel<float>(float)",
        "sm90_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x32",
    ],
    "attention": [
        "void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4, cutlass::bfloat16_t>>(int)",
        "void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<Flash_bwd_kernel_traits<64>>(int)",
        "fmha_cutlassF_bf16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::bfloat16_t>::Params)",
        "fmha_cutlassB_f32_aligned_64x64_k64_dropout_sm80(AttentionBackwardKernel<float>::Params)",
        "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16_knob_3i_64x128x64_4x1x1_kernel0_0",
        "triton_tem_fused_flex_attention_0", "triton_per_fused__softmax_add_native_dropout_2",
        "cpp_fused__softmax_mul_3",
        "void (anonymous namespace)::softmax_warp_forward<float, float, float, 8, false, false>(float*)",
    ],
    "loss": [
        "void at::native::cunn_SoftMaxForward<4, float, float, float, at::native::LogSoftMaxForwardEpilogue>(float*)",
        "void (anonymous namespace)::softmax_warp_backward<float, float, float, 9, true, false>(float*, float const*)",
        "void at::native::(anonymous namespace)::nll_loss_forward_reduce_cuda_kernel_2d<float, float>(float*)",
        "triton_per_fused__log_softmax_nll_loss_forward_12",
    ],
    "optimizer": [
        "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<FusedAdamMathFunctor<float, 4>>(float)",
        "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<at::native::LpNormFunctor<float>>(float)",
        "triton_for_fused_0",
    ],
    "copies": [
        "Memcpy HtoD (Pinned -> Device)", "Memset (Device)",
        "void at::native::unrolled_elementwise_kernel<direct_copy_kernel_cuda(TensorIteratorBase&)::{lambda()#3}>",
        "void at::native::vectorized_elementwise_kernel<4, at::native::bfloat16_copy_kernel_cuda(TensorIteratorBase&)>",
        "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>>(int)",
        "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float, unsigned int, 3, 64, 64>(float*)",
        "void at::native::(anonymous namespace)::indexSelectLargeIndex<float, long, unsigned int, 2>(float)",
        "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<CopyFunctor<float, float, 2, 1, 1>>(int)",
        "triton_poi_fused__to_copy_3", "triton_poi_fused_clone_transpose_11", "cpp_fused__to_copy_view_1",
    ],
    "elementwise": [
        "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>(int)",
        "void at::native::elementwise_kernel<128, 4, gpu_kernel_impl_nocast<at::native::BinaryFunctor<float>>>(int)",
        "void at::native::(anonymous namespace)::vectorized_layer_norm_kernel<float, float>(int)",
        "void at::native::(anonymous namespace)::GammaBetaBackwardCUDAKernelTemplate<float>(long)",
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float>>(float)",
        "void at::native::(anonymous namespace)::fused_dropout_kernel_vec<float, float, unsigned int, 1, 4>(float)",
        "triton_red_fused_add_native_layer_norm_4", "triton_poi_fused__to_copy_add_gelu_9", "cpp_fused_gelu_0",
    ],
    "other": ["ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevComm*)", "my_secret_kernel"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "category"), [(name, category) for category, names in KERNELS.items() for name in names]
)
def test_kernels_by_name(name: str, category: str) -> None:
    assert classify_kernel(name) == category


def test_products_and_element_wise_work_between_batch_and_heads_are_attention() -> None:
    attention = AttentionShapes([(8, 12, 256, 256), (8, 256)])
    assert attention.cover("aten::matmul", "matmul", ((96, 256, 32), (96, 32, 256)))
    assert attention.cover("aten::matmul", "matmul", ((8, 12, 256, 32), (8, 12, 32, 256)))
    assert attention.cover("aten::mul", "elementwise", ((8, 12, 256, 256), (8, 1, 256, 256)))
    assert attention.cover("aten::mul", "elementwise", ((8, 12, 256, 32),))


def test_other_products_and_element_wise_work_are_not() -> None:
    attention = AttentionShapes([(8, 12, 256, 256), (8, 256)])
    assert not attention.cover("aten::matmul", "matmul", ((2048, 384), (384, 1536)))
    assert not attention.cover("aten::matmul", "matmul", ((8, 256, 384), (8, 384, 2)))
    assert not attention.cover("aten::mul", "elementwise", ((8, 256, 384),))
    assert not attention.cover("aten::copy_", "copies", ((8, 12, 256, 256),))


def test_attention_of_one_packed_row_has_only_heads() -> None:
    attention = AttentionShapes([(12, 300, 300)])
    assert attention.cover("aten::matmul", "matmul", ((12, 300, 32), (12, 32, 300)))
    assert attention.cover("aten::mul", "elementwise", ((12, 300, 300),))
    assert not attention.cover("aten::mul", "elementwise", ((12, 300, 384),))


def test_without_a_softmax_batched_products_are_attention() -> None:
    attention = AttentionShapes([])
    assert attention.cover("aten::bmm", "matmul", ((96, 64, 32), (96, 32, 64)))
    assert attention.cover("aten::bmm", "matmul", ())
    assert not attention.cover("aten::addmm", "matmul", ((384,), (512, 384), (384, 384)))
    assert not attention.cover("aten::mul", "elementwise", ((8, 12, 64, 64),))
