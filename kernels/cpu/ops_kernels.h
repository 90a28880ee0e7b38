// Row operations around the linears: RMSNorm, activation quantization, SiLU, RoPE, dequantization.
//
// One source (ops.inc) compiled once per ISA without contraction: the vector width is the
// compiler's business, the bits are the same everywhere.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "kernels/quant/weight_format.h"

namespace intactkv {

struct NormArgs {
  const float* x = nullptr;       // [cols]
  const float* weight = nullptr;  // [cols]
  int64_t cols = 0;               // multiple of 32
  float eps = 0.0f;
  float* out = nullptr;  // may alias x
};

struct QuantizeArgs {
  const float* x = nullptr;  // [cols]
  int64_t cols = 0;          // multiple of 32
  int8_t* q = nullptr;       // [cols]
  float* scale = nullptr;    // [cols / 32], and so the next three
  float* scaled_sum = nullptr;
  int32_t* sum = nullptr;
  int32_t* first_sum = nullptr;
};

struct RopeArgs {
  float* x = nullptr;  // [heads][head_dim], in place
  int heads = 0;
  int head_dim = 0;
  const float* cos = nullptr;  // [head_dim / 2], of this row's position
  const float* sin = nullptr;
  bool interleaved = false;  // pairs (2i, 2i+1), else (i, i + head_dim / 2)
};

struct DequantizeTileArgs {
  TileView weights;  // of one tile
  CodeFormat format;
  int64_t cols = 0;
  float* out = nullptr;  // [cols][16]
};

struct OpsKernels {
  // out = x * float(1 / sqrt(mean(x^2) + eps)) * weight; the mean in double over 8 fixed lanes.
  void (*rms_norm)(const NormArgs&);
  // Per group of 32: scale = max|x| / 127, q = rne(x * (127 / max|x|)). max|x| < 2^-100: zeros. A
  // group with a NaN or infinity: scale = scaled_sum = NaN, codes 0, so the outputs become NaN.
  void (*quantize_int8)(const QuantizeArgs&);
  // out[i] = silu(gate[i]) * up[i]; the exponential is good to 2 ulp. out aliases nothing
  // (in place it would not vectorize).
  void (*silu_mul)(const float* gate, const float* up, int64_t n, float* out);
  void (*rope)(const RopeArgs&);
  void (*add)(const float* x, int64_t n, float* accumulator);  // accumulator += x
  bool (*all_finite)(const float* x, int64_t n);
  // The values of kernels/quant's DequantizeGroup, bit for bit.
  void (*dequantize_tile)(const DequantizeTileArgs&);
};

// `isa` is at most HostIsa().
const OpsKernels& GetOpsKernels(Isa isa);

extern const OpsKernels kScalarOpsKernels;
extern const OpsKernels kAvx2OpsKernels;
extern const OpsKernels kAvx512OpsKernels;

}  // namespace intactkv
