// Every linear kernel of every ISA of this machine against kernels/ref, bit for bit.
#include "kernels/ref/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/cpu/cpu_linear.h"
#include "tests/unit/kernels/cpu/linear_rig.h"

namespace intactkv {
namespace {

std::vector<Isa> HostIsas() {
  std::vector<Isa> out;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= HostIsa()) out.push_back(isa);
  }
  return out;
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

}  // namespace
}  // namespace intactkv
