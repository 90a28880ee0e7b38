// Memory of one step: activations, their int8 form, scratch of each worker, RoPE tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/api/backend.h"
#include "kernels/cpu/cpu_linear.h"
#include "kernels/cpu/ops_kernels.h"
#include "kernels/cpu/sampler.h"

namespace intactkv {

// Rows of int8 activations. The width may differ from use to use, up to max_cols.
class Int8Buffer {
 public:
  Int8Buffer(int max_rows, int64_t max_cols);
  // Where columns [col, col + cols) of a row of `width` columns go; multiples of 32.
  QuantizeArgs Place(int row, int64_t width, int64_t col, int64_t cols);
  Int8Rows View() const {
    return {.q = q_.data(),
            .scale = scale_.data(),
            .scaled_sum = scaled_sum_.data(),
            .sum = sum_.data(),
            .first_sum = first_sum_.data()};
  }
  size_t bytes() const { return q_.size() + scale_.size() * kGroupBytes; }
  // Of everything but q, per group of 32 columns.
  static constexpr int64_t kGroupBytes = 16;

 private:
  std::vector<int8_t> q_;
  std::vector<float> scale_;
  std::vector<float> scaled_sum_;
  std::vector<int32_t> sum_;
  std::vector<int32_t> first_sum_;
};

// cos and sin of position * inv_freq, computed in double. [positions][head_dim / 2].
class RopeTable {
 public:
  RopeTable(const std::vector<float>& inv_freq, int num_positions);
  const float* cos(int64_t position) const { return &cos_[static_cast<size_t>(position) * half_]; }
  const float* sin(int64_t position) const { return &sin_[static_cast<size_t>(position) * half_]; }
  size_t bytes() const { return (cos_.size() + sin_.size()) * sizeof(float); }

 private:
  size_t half_;
  std::vector<float> cos_;
  std::vector<float> sin_;
};

inline constexpr int kChunkTiles = 2;  // outputs of one work item: 32, one group of the next linear
inline constexpr int kChunkOutputs = kChunkTiles * kTileRows;
inline constexpr int kRowBlock = 48;  // rows whose chunk stays in the first-level cache

struct WorkerScratch {
  WorkerScratch(int64_t max_cols, int vocab)
      : tile(static_cast<size_t>(max_cols * kTileRows)),
        first(size_t{kRowBlock} * kChunkOutputs),
        second(size_t{kRowBlock} * kChunkOutputs),
        third(size_t{kRowBlock} * kChunkOutputs),
        sampler(vocab) {}
  std::vector<float> tile;                  // one dequantized tile
  std::vector<float> first, second, third;  // [kRowBlock][kChunkOutputs]
  Sampler sampler;
  size_t bytes() const {
    return (tile.size() + 3 * first.size()) * sizeof(float) + sampler.scratch_bytes();
  }
};

struct StepBuffers {
  StepBuffers(const ContextOptions& options, int num_workers);
  // What bytes() will be; takes no memory.
  static int64_t Bytes(const ContextOptions& options, int num_workers);
  size_t bytes() const;

  std::vector<float> residual;     // [max_rows][hidden]
  std::vector<float> normed;       // [max_rows][hidden]
  std::vector<float> q, attended;  // [max_rows][num_q_heads * head_dim]
  std::vector<float> k, v;         // [max_rows][num_kv_heads * head_dim]
  std::vector<float> gated;        // [max_rows][ffn]
  std::vector<float> logits;       // [max_logits_rows][vocab]
  Int8Buffer int8_input;           // of normed or attended
  Int8Buffer int8_gated;
  RopeTable rope;
  std::vector<WorkerScratch> workers;
};

}  // namespace intactkv
