// Every linear kernel of every ISA of this machine against kernels/ref, bit for bit.
#include "kernels/ref/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/cpu/cpu_linear.h"
#include "kernels/quant/half.h"

namespace intactkv {
namespace {

std::vector<Isa> HostIsas() {
  std::vector<Isa> out;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= HostIsa()) out.push_back(isa);
  }
  return out;
}

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

// A file tensor with plausible scales and any codes.
struct TestTensor {
  std::vector<std::byte> bytes;
  HostTensor host;
};

void PutHalf(float value, std::byte* at) {
  const uint16_t half = FloatToHalf(value);
  std::memcpy(at, &half, sizeof(half));
}

// Plausible fp16 scale and minimum of one block; the codes stay what they are. The integer scales
// of K-quants go up to 63, so their fp16 scales are smaller.
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

LinearSpec Spec(const HostTensor& tensor, WeightFormat format = WeightFormat::kStored) {
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

// Activations in both forms, by kernels/ref.
struct Activations {
  int rows = 0;
  int64_t cols = 0;
  std::vector<float> f32 = {};
  std::vector<ref::Int8Group> groups = {};
  std::vector<int8_t> q = {};
  std::vector<float> scale = {};
  std::vector<float> scaled_sum = {};
  std::vector<int32_t> sum = {};
  std::vector<int32_t> first_sum = {};

  ActivationRows View() const {
    return {.f32 = f32.data(),
            .int8 = {.q = q.data(),
                     .scale = scale.data(),
                     .scaled_sum = scaled_sum.data(),
                     .sum = sum.data(),
                     .first_sum = first_sum.data()}};
  }
};

// Of f32, the other forms.
Activations Quantized(Activations x) {
  Activations out{.rows = x.rows, .cols = x.cols, .f32 = std::move(x.f32)};
  for (size_t at = 0; at < out.f32.size(); at += kWeightGroup) {
    const ref::Int8Group group = ref::QuantizeActivations({&out.f32[at], kWeightGroup});
    int32_t sum = 0;
    for (const int8_t q : group.q) sum += q;
    out.groups.push_back(group);
    out.q.insert(out.q.end(), group.q, group.q + kWeightGroup);
    out.scale.push_back(group.scale);
    out.sum.push_back(sum);
    out.first_sum.push_back(std::accumulate(group.q, group.q + 16, 0));
    out.scaled_sum.push_back(group.scale * static_cast<float>(sum));
  }
  return out;
}

Activations MakeActivations(int rows, int64_t cols, uint64_t seed) {
  Activations out{.rows = rows, .cols = cols, .f32 = RandomFloats(rows * cols, seed)};
  // Extremes: all products of one group at their largest, and a group of zeros.
  for (int i = 0; i < kWeightGroup; ++i) out.f32[static_cast<size_t>(i)] = 127.0f;
  if (rows > 1) std::fill_n(out.f32.begin() + cols, kWeightGroup, 0.0f);
  return Quantized(std::move(out));
}

std::vector<float> Dense(const CpuLinear& w) {
  std::vector<float> out(static_cast<size_t>(w.rows() * w.cols()));
  for (int64_t n = 0; n < w.rows(); ++n)
    w.DequantizeRow(n, &out[static_cast<size_t>(n * w.cols())]);
  return out;
}

std::vector<float> Expected(const CpuLinear& w, const Activations& x, bool int8) {
  std::vector<float> out(static_cast<size_t>(w.rows() * x.rows));
  if (!int8) {
    ref::LinearF32(Dense(w), x.f32, w.cols(), out);
    return out;
  }
  std::vector<CodeGroup> groups;
  for (int64_t n = 0; n < w.rows(); ++n) {
    for (int64_t g = 0; g < w.tiles().layout.num_groups(); ++g) {
      groups.push_back(LoadGroup(w.tiles(), n, g));
    }
  }
  ref::LinearInt8(w.tiles().layout.format, groups, x.groups, w.cols(), out);
  return out;
}

// All rows and tiles in one call; canaries behind the outputs must live.
std::vector<float> RunWhole(const LinearRunner& runner, const CpuLinear& w, const Activations& x) {
  const int64_t stride = w.rows() + 3;
  std::vector<float> padded(static_cast<size_t>(x.rows * stride), -7.0f);
  std::vector<float> scratch(static_cast<size_t>(w.cols() * kTileRows));
  runner.Run(w, x.View(),
             {.num_rows = x.rows,
              .num_tiles = static_cast<int>(w.num_tiles()),
              .out = padded.data(),
              .stride = stride},
             scratch.data());
  std::vector<float> out;
  for (int m = 0; m < x.rows; ++m) {
    const auto row = padded.begin() + m * stride;
    out.insert(out.end(), row, row + w.rows());
    for (int64_t i = w.rows(); i < stride; ++i) EXPECT_EQ(row[i], -7.0f);
  }
  return out;
}

constexpr TensorType kStoredTypes[] = {
    TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0,
    TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};

struct FormatCase {
  TensorType type;
  WeightFormat format;
  const char* name;
};
constexpr FormatCase kFormats[] = {
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
int64_t Cols(const FormatCase& c, int64_t cols) {
  const int64_t block = BlockColumns(static_cast<BlockType>(c.type));
  return (cols + block - 1) / block * block;
}

TEST(LinearTest, EveryKernelEqualsTheReferenceBitForBit) {
  ThreadPool pool(2);
  uint64_t seed = 1;
  for (const FormatCase& c : kFormats) {
    for (const auto& [rows, least] :
         {std::pair<int64_t, int64_t>{1, 32}, {16, 64}, {17, 96}, {31, 576}, {70, 1536}}) {
      const int64_t cols = Cols(c, least);
      const TestTensor tensor = MakeTensor(c.type, rows, cols, ++seed);
      const auto w = MustLoad(Spec(tensor.host, c.format), &pool);
      EXPECT_EQ(w->format_name(), c.name);
      for (const int m : {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 17}) {
        if (rows == 70 && m > 7) continue;
        const Activations x = MakeActivations(m, cols, ++seed);
        for (const ActivationFormat a : {ActivationFormat::kInt8, ActivationFormat::kF32}) {
          const bool int8 = a == ActivationFormat::kInt8 && w->quantized();
          const std::vector<float> want = Expected(*w, x, int8);
          for (const Isa isa : HostIsas()) {
            EXPECT_TRUE(SameBits(RunWhole(LinearRunner(isa, a), *w, x), want))
                << c.name << " " << IsaName(isa) << " M " << m << " N " << rows << " K " << cols;
          }
        }
      }
    }
  }
}

TEST(LinearTest, IsCloseToDoublePrecision) {
  ThreadPool pool(1);
  const TestTensor tensor = MakeTensor(TensorType::kF32, 40, 1536, 5);
  const auto w = MustLoad(Spec(tensor.host, WeightFormat::kF32), &pool);
  const Activations x = MakeActivations(3, 1536, 6);
  const std::vector<float> got = RunWhole(LinearRunner(HostIsa(), ActivationFormat::kF32), *w, x);
  const std::vector<float> dense = Dense(*w);
  for (size_t m = 0; m < 3; ++m) {
    for (size_t n = 0; n < 40; ++n) {
      double want = 0.0;
      double size = 0.0;
      for (size_t k = 0; k < 1536; ++k) {
        const double p = static_cast<double>(dense[n * 1536 + k]) * x.f32[m * 1536 + k];
        want += p;
        size += std::fabs(p);
      }
      EXPECT_NEAR(got[m * 40 + n], want, 1e-6 * size);
    }
  }
}

TEST(LinearTest, Int8ActivationsAreCloseToFloatActivations) {
  ThreadPool pool(1);
  for (const TensorType type : kStoredTypes) {
    const TestTensor tensor = MakeTensor(type, 64, 768, 15);
    const auto w = MustLoad(Spec(tensor.host), &pool);
    const Activations x = MakeActivations(4, 768, 16);
    const auto a = RunWhole(LinearRunner(HostIsa(), ActivationFormat::kInt8), *w, x);
    const auto b = RunWhole(LinearRunner(HostIsa(), ActivationFormat::kF32), *w, x);
    double error = 0.0;
    double size = 0.0;
    for (size_t i = 0; i < a.size(); ++i) {
      error += std::pow(static_cast<double>(a[i] - b[i]), 2);
      size += std::pow(static_cast<double>(b[i]), 2);
    }
    EXPECT_LT(std::sqrt(error / size), 0.01);
    EXPECT_GT(std::sqrt(error / size), 1e-6);  // they are different computations
  }
}

// Largest codes against largest activations of one sign: nothing saturates on the way.
TEST(LinearTest, ExtremeCodesStayExact) {
  ThreadPool pool(1);
  for (const TensorType type : kStoredTypes) {
    const auto block = static_cast<BlockType>(type);
    TestTensor tensor = MakeTensor(type, 16, 512, 61);
    std::fill(tensor.bytes.begin(), tensor.bytes.end(), std::byte{255});
    Rng rng(62);
    for (size_t at = 0; at < tensor.bytes.size(); at += BlockBytes(block)) {
      PutParams(block, &tensor.bytes[at], rng);
    }
    const auto w = MustLoad(Spec(tensor.host), &pool);
    for (const float value : {1.0f, -1.0f}) {
      Activations x = MakeActivations(5, 512, 63);
      x.f32.assign(x.f32.size(), value);
      x = Quantized(std::move(x));
      const std::vector<float> want = Expected(*w, x, true);
      for (const Isa isa : HostIsas()) {
        EXPECT_TRUE(SameBits(RunWhole(LinearRunner(isa, ActivationFormat::kInt8), *w, x), want))
            << w->format_name() << " " << IsaName(isa) << " " << value;
      }
    }
  }
}

// A row's result is its own: alone, in a batch, in any part, on any thread.
TEST(LinearTest, PartsAndThreadsDoNotMatter) {
  for (const FormatCase& c : kFormats) {
    const int64_t cols = Cols(c, 192);
    const TestTensor tensor = MakeTensor(c.type, 200, cols, 21);
    ThreadPool one(1);
    ThreadPool two(2);
    const auto w = MustLoad(Spec(tensor.host, c.format), &one);
    const auto w2 = MustLoad(Spec(tensor.host, c.format), &two);
    EXPECT_TRUE(SameBits(Dense(*w), Dense(*w2)));
    const Activations x = MakeActivations(17, cols, 22);
    for (const ActivationFormat a : {ActivationFormat::kInt8, ActivationFormat::kF32}) {
      for (const Isa isa : HostIsas()) {
        const LinearRunner runner(isa, a);
        const std::vector<float> whole = RunWhole(runner, *w, x);
        std::vector<float> parts(whole.size());
        const int items = 17 * 13;  // single rows times single tiles
        two.Run(items, [&](int item, int) {
          std::vector<float> scratch(static_cast<size_t>(cols * kTileRows));
          const int row = item / 13;
          const int tile = item % 13;
          runner.Run(*w2, x.View(),
                     {.row = row,
                      .num_rows = 1,
                      .tile = tile,
                      .num_tiles = 1,
                      .out = &parts[static_cast<size_t>(row * 200 + tile * kTileRows)],
                      .stride = 200},
                     scratch.data());
        });
        EXPECT_TRUE(SameBits(parts, whole)) << c.name << " " << IsaName(isa);
      }
    }
  }
}

TEST(LinearTest, StoredTilesAreTheFileBitForBit) {
  ThreadPool pool(2);
  for (const TensorType type : kStoredTypes) {
    const TestTensor tensor = MakeTensor(type, 50, 512, 31);
    const auto w = MustLoad(Spec(tensor.host), &pool);
    const auto block = static_cast<BlockType>(type);
    std::vector<float> file(50 * 512);
    for (size_t n = 0; n < 50; ++n) {
      DequantizeBlocks(block, tensor.bytes.data() + n * RowBytes(block, 512), 512, &file[n * 512]);
    }
    EXPECT_TRUE(SameBits(Dense(*w), file));
    const auto f32 = MustLoad(Spec(tensor.host, WeightFormat::kF32), &pool);
    EXPECT_TRUE(SameBits(Dense(*f32), file));
  }
}

// Rounding anew costs at most half a step of the group's range, and what fp16 takes from the ends.
TEST(LinearTest, RoundedTilesStayWithinHalfAStepOfTheFile) {
  ThreadPool pool(2);
  for (const TensorType type : kStoredTypes) {
    const TestTensor tensor = MakeTensor(type, 20, 512, 71);
    const std::vector<float> file = Dense(*MustLoad(Spec(tensor.host, WeightFormat::kF32), &pool));
    for (const auto& [format, top] :
         {std::pair{WeightFormat::kInt8, 255.0f}, std::pair{WeightFormat::kInt4, 15.0f}}) {
      const auto w = MustLoad(Spec(tensor.host, format), &pool);
      const std::vector<float> got = Dense(*w);
      if (w->format_name() != "int8" && w->format_name() != "int4") {
        EXPECT_TRUE(SameBits(got, file)) << w->format_name();  // kept: it has that width
        continue;
      }
      int moved = 0;
      for (size_t at = 0; at < file.size(); at += kWeightGroup) {
        const auto [low, high] = std::minmax_element(&file[at], &file[at] + kWeightGroup);
        const float ends = (std::fabs(*low) + std::fabs(*high)) * 0x1p-10f;
        for (size_t i = at; i < at + kWeightGroup; ++i) {
          ASSERT_LE(std::fabs(got[i] - file[i]), (*high - *low) / top * 0.5f + ends);
          moved += got[i] == file[i] ? 0 : 1;
        }
      }
      EXPECT_GT(moved, 0);
    }
  }
}

TEST(LinearTest, RangesKeepTheirPart) {
  ThreadPool pool(1);
  for (const FormatCase& c : kFormats) {
    const int64_t unit = std::max<int64_t>(32, BlockColumns(static_cast<BlockType>(c.type)));
    const TestTensor tensor = MakeTensor(c.type, 40, 4 * unit, 41);
    const auto whole = MustLoad(Spec(tensor.host, c.format), &pool);
    const auto part = MustLoad(Part(Spec(tensor.host, c.format), {.begin = 3, .end = 22},
                                    {.begin = unit, .end = 3 * unit}),
                               &pool);
    ASSERT_EQ(part->rows(), 19);
    ASSERT_EQ(part->cols(), 2 * unit);
    EXPECT_LT(part->bytes(), whole->bytes());
    const std::vector<float> all = Dense(*whole);
    const std::vector<float> some = Dense(*part);
    const auto u = static_cast<size_t>(unit);
    for (size_t n = 0; n < 19; ++n) {
      EXPECT_TRUE(SameBits({&some[n * 2 * u], 2 * u}, {&all[(n + 3) * 4 * u + u], 2 * u}))
          << c.name;
    }
  }
}

TEST(LinearTest, RefusesByName) {
  ThreadPool pool(1);
  TestTensor tensor = MakeTensor(TensorType::kF32, 4, 64, 51);
  tensor.host.name = "blk.3.ffn_up";
  const auto expect = [&](const LinearSpec& spec, absl::StatusCode code) {
    const auto got = CpuLinear::Load(spec, &pool);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.status().code(), code);
    EXPECT_NE(std::string(got.status().message()).find("blk.3.ffn_up"), std::string::npos);
  };
  const auto invalid = absl::StatusCode::kInvalidArgument;
  expect(Spec(tensor.host, WeightFormat::kBF16), absl::StatusCode::kUnimplemented);
  expect(Part(Spec(tensor.host), {.begin = 0, .end = 5}, {}), invalid);
  expect(Part(Spec(tensor.host), {.begin = 2, .end = 2}, {}), invalid);
  expect(Part(Spec(tensor.host), {.begin = -1, .end = 2}, {}), invalid);
  expect(Part(Spec(tensor.host), {}, {.begin = 16, .end = 48}), invalid);
  expect(Part(Spec(tensor.host), {}, {.begin = 32, .end = 96}), invalid);
  const float nan = std::nanf("");
  std::memcpy(tensor.bytes.data(), &nan, sizeof(nan));
  expect(Spec(tensor.host, WeightFormat::kInt8), invalid);
  EXPECT_TRUE(CpuLinear::Load(Spec(tensor.host, WeightFormat::kF32), &pool).ok());
  tensor.host.data = nullptr;
  expect(Spec(tensor.host), invalid);
  TestTensor blocks = MakeTensor(TensorType::kQ4_K, 4, 512, 52);
  blocks.host.name = tensor.host.name;
  expect(Part(Spec(blocks.host), {}, {.begin = 128, .end = 384}), invalid);  // half blocks
}

}  // namespace
}  // namespace intactkv
