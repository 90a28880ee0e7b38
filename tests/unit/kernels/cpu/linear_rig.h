// Tensors and loaded weights for the tests of linears: every file type with plausible scales and
// any codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/cpu/cpu_linear.h"

namespace intactkv {

bool SameBits(std::span<const float> a, std::span<const float> b);

// About Gaussian, in [-3, 3].
float Normalish(Rng& rng);
std::vector<float> RandomFloats(int64_t n, uint64_t seed);

// A file tensor with plausible scales and any codes.
struct TestTensor {
  std::vector<std::byte> bytes;
  HostTensor host;
};

// Plausible fp16 scale and minimum of one block; the codes stay what they are. The integer scales
// of K-quants go up to 63, so their fp16 scales are smaller.
void PutParams(BlockType type, std::byte* block, Rng& rng);

TestTensor MakeTensor(TensorType type, int64_t rows, int64_t cols, uint64_t seed);

LinearSpec Spec(const HostTensor& tensor, WeightFormat format = WeightFormat::kStored);
LinearSpec Part(LinearSpec spec, IndexRange rows, IndexRange cols);

// Fails the test if the weight is refused.
std::unique_ptr<CpuLinear> MustLoad(const LinearSpec& spec, ThreadPool* pool);

// All values, row by row.
std::vector<float> Dense(const CpuLinear& w);

inline constexpr TensorType kStoredTypes[] = {
    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0,
    TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

struct FormatCase {
  TensorType type;
  WeightFormat format;
  const char* name;
};
inline constexpr FormatCase kFormats[] = {
    {TensorType::kQ4_0, WeightFormat::kStored, "q4_0"},
    {TensorType::kQ4_1, WeightFormat::kStored, "q4_1"},
    {TensorType::kQ8_0, WeightFormat::kStored, "q8_0"},
    {TensorType::kQ5_0, WeightFormat::kStored, "q5_0"},
    {TensorType::kQ5_1, WeightFormat::kStored, "q5_1"},
    {TensorType::kQ2_K, WeightFormat::kStored, "q2_k"},
    {TensorType::kQ3_K, WeightFormat::kStored, "q3_k"},
    {TensorType::kQ4_K, WeightFormat::kStored, "q4_k"},
    {TensorType::kQ5_K, WeightFormat::kStored, "q5_k"},
    {TensorType::kQ6_K, WeightFormat::kStored, "q6_k"},
    {TensorType::kF32, WeightFormat::kStored, "int4"},
    {TensorType::kF32, WeightFormat::kInt8, "int8"},
    {TensorType::kQ8_0, WeightFormat::kInt4, "int4"},
    {TensorType::kQ4_1, WeightFormat::kInt8, "int8"},
    {TensorType::kQ4_1, WeightFormat::kInt4, "q4_1"},
    {TensorType::kQ8_0, WeightFormat::kInt8, "q8_0"},
    {TensorType::kQ5_1, WeightFormat::kInt4, "int4"},
    {TensorType::kQ6_K, WeightFormat::kInt4, "int4"},
    {TensorType::kQ4_K, WeightFormat::kInt4, "q4_k"},
    {TensorType::kQ3_K, WeightFormat::kInt4, "q3_k"},
    {TensorType::kQ5_K, WeightFormat::kInt8, "int8"},
    {TensorType::kQ4_1, WeightFormat::kF32, "f32"},
    {TensorType::kQ6_K, WeightFormat::kF32, "f32"},
    {TensorType::kBF16, WeightFormat::kF32, "f32"},
};

// Columns that type `c` can have: whole blocks.
int64_t Cols(const FormatCase& c, int64_t cols);

}  // namespace intactkv
