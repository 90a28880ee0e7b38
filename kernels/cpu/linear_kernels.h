// Microkernels of y = x W^T: tiles of 16 outputs times any number of rows.
//
// One arithmetic for every ISA, row count and thread, so results agree bit for bit:
//   integer  per group of the weight (32 or 16 columns), ascending: dot = sum (u - zero_point) * q
//            exact in int32; y = fma(float(dot), w_scale * x_scale, y), then, with a minimum,
//            y = fma(w_minimum, x_scale * float(sum q), y). In two-level formats w_scale and
//            w_minimum are the exact products float(fp16) * float(factor).
//   float    per block of 32 columns, ascending: s = fma(w, x, s) in ascending order from s = 0;
//            y = y + s
// Lanes are outputs: nothing is ever added across lanes.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "kernels/quant/weight_format.h"

namespace intactkv {

// What both kinds share. Outputs past num_outputs in the last tile are not written. out aliases
// nothing.
struct LinearOutput {
  int num_rows = 0;      // rows of x, >= 1
  int num_tiles = 0;     // >= 1
  int num_outputs = 0;   // in (16 * (num_tiles - 1), 16 * num_tiles]
  float* out = nullptr;  // out[row * stride + output]
  int64_t stride = 0;
};

struct FloatLinearArgs {
  const float* weights = nullptr;  // [num_tiles][cols][16]
  int64_t cols = 0;                // multiple of 32
  const float* x = nullptr;        // x[row * x_stride + col]
  int64_t x_stride = 0;
  LinearOutput y;
};

// Activations as int8 per row and group of 32 columns: x = scale * q.
struct Int8Rows {
  const int8_t* q = nullptr;           // [rows][cols], in [-127, 127]
  const float* scale = nullptr;        // [rows][cols / 32]
  const float* scaled_sum = nullptr;   // scale * float(sum)
  const int32_t* sum = nullptr;        // of q over the group
  const int32_t* first_sum = nullptr;  // of q over its first 16 columns
};

struct IntLinearArgs {
  TileView weights;  // from the first tile
  int64_t cols = 0;  // multiple of 32, and of 256 in two-level formats
  Int8Rows x;        // from the first row
  LinearOutput y;
};

struct LinearKernels {
  const char* isa;  // suffix of kernel names
  void (*linear_f32)(const FloatLinearArgs&);
  void (*linear_int[kNumCodeFormats])(const IntLinearArgs&);  // in the order of kCodeFormats
};

// `isa` is at most HostIsa().
const LinearKernels& GetLinearKernels(Isa isa);

extern const LinearKernels kScalarLinearKernels;
extern const LinearKernels kAvx2LinearKernels;
extern const LinearKernels kAvx512LinearKernels;

}  // namespace intactkv
