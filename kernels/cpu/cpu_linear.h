// Linear weights of the CPU backend: quantized tiles or fp32 panels, and y = x W^T on part of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/ops_kernels.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/cpu/weight_memory.h"
#include "kernels/quant/weight_format.h"

namespace intactkv {

// Immutable after Load: Thread-safe.
class CpuLinear final : public Linear {
 public:
  // Repacks on all threads of `pool`. Errors as Backend::LoadLinear.
  static absl::StatusOr<std::unique_ptr<CpuLinear>> Load(const LinearSpec& spec, ThreadPool* pool);

  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  size_t bytes() const override { return memory_.bytes(); }
  std::string_view format_name() const override { return format_name_; }
  void DequantizeRow(int64_t row, float* out) const override;

  bool quantized() const { return panels_ == nullptr; }
  const TileWeights& tiles() const { return tiles_; }  // quantized
  int format_index() const { return format_index_; }   // quantized: place in kCodeFormats
  const float* panels() const { return panels_; }      // [tile][cols][16], else
  int64_t num_tiles() const { return (rows_ + kTileRows - 1) / kTileRows; }

 private:
  CpuLinear() = default;
  friend class LinearLoader;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::string format_name_;
  WeightMemory memory_;
  TileWeights tiles_;
  int format_index_ = 0;
  float* panels_ = nullptr;
};

// Rows of activations in the forms that the weights of a phase read; a form that none reads is
// null.
struct ActivationRows {
  const float* f32 = nullptr;  // [rows][cols]
  Int8Rows int8;
};

// Rows [row, row + num_rows) times tiles [tile, tile + num_tiles), clipped to the weight's rows.
struct LinearPart {
  int row = 0;
  int num_rows = 0;
  int64_t tile = 0;
  int num_tiles = 0;
  float* out = nullptr;  // of the part's first row and first output
  int64_t stride = 0;
};

// Kernels of one ISA, and the arithmetic's name for a weight.
class LinearRunner {
 public:
  LinearRunner(Isa isa, ActivationFormat activations);

  bool UsesInt8(const CpuLinear& w) const {
    return activations_ == ActivationFormat::kInt8 && w.quantized();
  }
  // Outputs of the part that exist.
  static int NumOutputs(const CpuLinear& w, const LinearPart& part);
  // `scratch`: cols * 16 floats of the calling thread, for quantized weights with fp32 activations.
  void Run(const CpuLinear& w, const ActivationRows& x, const LinearPart& part,
           float* scratch) const;

 private:
  void RunInt8(const CpuLinear& w, const Int8Rows& x, const LinearPart& part) const;
  void RunDequantized(const CpuLinear& w, const float* x, const LinearPart& part,
                      float* scratch) const;

  const LinearKernels& kernels_;
  const OpsKernels& ops_;
  ActivationFormat activations_;
};

}  // namespace intactkv
