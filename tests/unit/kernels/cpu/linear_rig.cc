#include "tests/unit/kernels/cpu/linear_rig.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kernels/quant/half.h"

namespace intactkv {
namespace {

void PutHalf(float value, std::byte* at) {
  const uint16_t half = FloatToHalf(value);
  std::memcpy(at, &half, sizeof(half));
}

}  // namespace

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

float Normalish(Rng& rng) {
  return static_cast<float>(rng.Unit() + rng.Unit() + rng.Unit() - 1.5) * 2.0f;
}

std::vector<float> RandomFloats(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> out(static_cast<size_t>(n));
  for (float& v : out) v = Normalish(rng);
  return out;
}

void PutParams(BlockType type, std::byte* block, Rng& rng) {
  const bool k_quant = BlockColumns(type) == kSuperBlock;
  const float scale = (0.01f + 0.02f * static_cast<float>(rng.Unit())) * (k_quant ? 0.03f : 1.0f);
  size_t at = 0;  // K-quants but two have their parameters behind the codes
  if (k_quant && type != BlockType::kQ4_K && type != BlockType::kQ5_K) at = BlockBytes(type) - 2;
  if (type == BlockType::kQ2_K) at -= 2;
  PutHalf(scale, block + at);
  if (StoredCodeFormat(type).has_minimum) {
    PutHalf(Normalish(rng) * (k_quant ? 0.003f : 0.1f), block + at + 2);
  }
}

TestTensor MakeTensor(TensorType type, int64_t rows, int64_t cols, uint64_t seed) {
  const auto block = static_cast<BlockType>(type);
  TestTensor out;
  const size_t row_bytes = RowBytes(block, cols);
  out.bytes.resize(static_cast<size_t>(rows) * row_bytes);
  Rng rng(seed);
  if (IsQuantized(block)) {
    for (std::byte& b : out.bytes) b = static_cast<std::byte>(rng());
    for (size_t at = 0; at < out.bytes.size(); at += BlockBytes(block)) {
      PutParams(block, &out.bytes[at], rng);
    }
  } else {
    for (size_t i = 0; i < static_cast<size_t>(rows * cols); ++i) {
      const float value = Normalish(rng);
      if (type == TensorType::kF32) std::memcpy(&out.bytes[4 * i], &value, 4);
      if (type == TensorType::kF16) PutHalf(value, &out.bytes[2 * i]);
      if (type == TensorType::kBF16) {
        std::memcpy(&out.bytes[2 * i], reinterpret_cast<const char*>(&value) + 2, 2);
      }
    }
  }
  out.host = {.name = "test", .type = type, .rows = rows, .cols = cols, .data = out.bytes.data()};
  return out;
}

LinearSpec Spec(const HostTensor& tensor, WeightFormat format) {
  LinearSpec spec;
  spec.tensor = tensor;
  spec.format = format;
  return spec;
}

LinearSpec Part(LinearSpec spec, IndexRange rows, IndexRange cols) {
  spec.rows = rows;
  spec.cols = cols;
  return spec;
}

std::unique_ptr<CpuLinear> MustLoad(const LinearSpec& spec, ThreadPool* pool) {
  absl::StatusOr<std::unique_ptr<CpuLinear>> out = CpuLinear::Load(spec, pool);
  EXPECT_TRUE(out.ok()) << out.status();
  return std::move(out).value();
}

std::vector<float> Dense(const CpuLinear& w) {
  std::vector<float> out(static_cast<size_t>(w.rows() * w.cols()));
  for (int64_t n = 0; n < w.rows(); ++n)
    w.DequantizeRow(n, &out[static_cast<size_t>(n * w.cols())]);
  return out;
}

int64_t Cols(const FormatCase& c, int64_t cols) {
  const int64_t block = BlockColumns(static_cast<BlockType>(c.type));
  return (cols + block - 1) / block * block;
}

}  // namespace intactkv
