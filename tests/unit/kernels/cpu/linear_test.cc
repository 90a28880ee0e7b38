// Every linear kernel of every ISA of this machine against kernels/ref, bit for bit.
#include "kernels/ref/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
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

TestTensor MakeTensor(TensorType type, int64_t rows, int64_t cols, uint64_t seed) {
  const auto block = static_cast<BlockType>(type);
  TestTensor out;
  const size_t row_bytes = RowBytes(block, cols);
  out.bytes.resize(static_cast<size_t>(rows) * row_bytes);
  Rng rng(seed);
  if (IsQuantized(block)) {
    for (std::byte& b : out.bytes) b = static_cast<std::byte>(rng());
    const size_t step = RowBytes(block, kWeightGroup);
    for (size_t at = 0; at < out.bytes.size(); at += step) {
      PutHalf(0.01f + 0.02f * static_cast<float>(rng.Unit()), &out.bytes[at]);
      if (type == TensorType::kQ4_1) PutHalf(Normalish(rng) * 0.1f, &out.bytes[at + 2]);
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

  ActivationRows View() const {
    return {.f32 = f32.data(),
            .int8 = {.q = q.data(),
                     .scale = scale.data(),
                     .scaled_sum = scaled_sum.data(),
                     .sum = sum.data()}};
  }
};

Activations MakeActivations(int rows, int64_t cols, uint64_t seed) {
  Activations out{.rows = rows, .cols = cols, .f32 = RandomFloats(rows * cols, seed)};
  // Extremes: all products of one group at their largest, and a group of zeros.
  for (int i = 0; i < kWeightGroup; ++i) out.f32[static_cast<size_t>(i)] = 127.0f;
  if (rows > 1) std::fill_n(out.f32.begin() + cols, kWeightGroup, 0.0f);
  for (size_t at = 0; at < out.f32.size(); at += kWeightGroup) {
    const ref::Int8Group group = ref::QuantizeActivations({&out.f32[at], kWeightGroup});
    int32_t sum = 0;
    for (const int8_t q : group.q) sum += q;
    out.groups.push_back(group);
    out.q.insert(out.q.end(), group.q, group.q + kWeightGroup);
    out.scale.push_back(group.scale);
    out.sum.push_back(sum);
    out.scaled_sum.push_back(group.scale * static_cast<float>(sum));
  }
  return out;
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
    for (int64_t g = 0; g < w.cols() / kWeightGroup; ++g) {
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

struct FormatCase {
  TensorType type;
  WeightFormat format;
  const char* name;
};
constexpr FormatCase kFormats[] = {
    {TensorType::kQ4_0, WeightFormat::kStored, "q4_0"},
    {TensorType::kQ4_1, WeightFormat::kStored, "q4_1"},
    {TensorType::kQ8_0, WeightFormat::kStored, "q8_0"},
    {TensorType::kF32, WeightFormat::kStored, "int4"},
    {TensorType::kF32, WeightFormat::kInt8, "int8"},
    {TensorType::kQ8_0, WeightFormat::kInt4, "int4"},
    {TensorType::kQ4_1, WeightFormat::kInt8, "int8"},
    {TensorType::kQ4_1, WeightFormat::kInt4, "q4_1"},
    {TensorType::kQ8_0, WeightFormat::kInt8, "q8_0"},
    {TensorType::kQ4_1, WeightFormat::kF32, "f32"},
    {TensorType::kBF16, WeightFormat::kF32, "f32"},
};

TEST(LinearTest, EveryKernelEqualsTheReferenceBitForBit) {
  ThreadPool pool(2);
  uint64_t seed = 1;
  for (const FormatCase& c : kFormats) {
    for (const auto& [rows, cols] :
         {std::pair<int64_t, int64_t>{1, 32}, {16, 64}, {17, 96}, {31, 576}, {70, 1536}}) {
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
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ8_0}) {
    const TestTensor tensor = MakeTensor(type, 64, 576, 15);
    const auto w = MustLoad(Spec(tensor.host), &pool);
    const Activations x = MakeActivations(4, 576, 16);
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

// A row's result is its own: alone, in a batch, in any part, on any thread.
TEST(LinearTest, PartsAndThreadsDoNotMatter) {
  for (const FormatCase& c : kFormats) {
    const TestTensor tensor = MakeTensor(c.type, 200, 192, 21);
    ThreadPool one(1);
    ThreadPool two(2);
    const auto w = MustLoad(Spec(tensor.host, c.format), &one);
    const auto w2 = MustLoad(Spec(tensor.host, c.format), &two);
    EXPECT_TRUE(SameBits(Dense(*w), Dense(*w2)));
    const Activations x = MakeActivations(17, 192, 22);
    for (const ActivationFormat a : {ActivationFormat::kInt8, ActivationFormat::kF32}) {
      for (const Isa isa : HostIsas()) {
        const LinearRunner runner(isa, a);
        const std::vector<float> whole = RunWhole(runner, *w, x);
        std::vector<float> parts(whole.size());
        const int items = 17 * 13;  // single rows times single tiles
        two.Run(items, [&](int item, int) {
          std::vector<float> scratch(192 * kTileRows);
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
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_1}) {
    const TestTensor tensor = MakeTensor(type, 50, 160, 31);
    const auto w = MustLoad(Spec(tensor.host), &pool);
    const auto block = static_cast<BlockType>(type);
    std::vector<float> file(50 * 160);
    for (size_t n = 0; n < 50; ++n) {
      DequantizeBlocks(block, tensor.bytes.data() + n * RowBytes(block, 160), 160, &file[n * 160]);
    }
    EXPECT_TRUE(SameBits(Dense(*w), file));
    const auto f32 = MustLoad(Spec(tensor.host, WeightFormat::kF32), &pool);
    EXPECT_TRUE(SameBits(Dense(*f32), file));
  }
}

TEST(LinearTest, RangesKeepTheirPart) {
  ThreadPool pool(1);
  for (const FormatCase& c : kFormats) {
    const TestTensor tensor = MakeTensor(c.type, 40, 128, 41);
    const auto whole = MustLoad(Spec(tensor.host, c.format), &pool);
    const auto part = MustLoad(
        Part(Spec(tensor.host, c.format), {.begin = 3, .end = 22}, {.begin = 32, .end = 96}),
        &pool);
    ASSERT_EQ(part->rows(), 19);
    ASSERT_EQ(part->cols(), 64);
    EXPECT_LT(part->bytes(), whole->bytes());
    const std::vector<float> all = Dense(*whole);
    const std::vector<float> some = Dense(*part);
    for (size_t n = 0; n < 19; ++n) {
      EXPECT_TRUE(SameBits({&some[n * 64], 64}, {&all[(n + 3) * 128 + 32], 64})) << c.name;
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
}

}  // namespace
}  // namespace intactkv
