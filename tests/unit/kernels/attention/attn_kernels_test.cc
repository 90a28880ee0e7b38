// The microkernel contract: rows of a call share loads, never results.
#include "kernels/cpu/attn_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/base/rng.h"
#include "kernels/quant/page_pack.h"
#include "kernels/quant/page_quantizer.h"
#include "tests/unit/kernels/attention/attention_rig.h"

namespace intactkv {
namespace {

constexpr int kDim = 64;

// Five pages of random values in one format, and random queries.
class KernelRig {
 public:
  explicit KernelRig(KvFormat format) : format_(format), layout_(MakeSliceLayout(format, kDim)) {
    Rng rng(9);
    std::vector<float> values(2 * kPageTokens * kDim);
    std::vector<std::byte> f32(MakeSliceLayout(kKvF32, kDim).bytes);
    for (int page = 0; page < kPages; ++page) {
      for (float& x : values) x = static_cast<float>(rng.Unit() * 4 - 2);
      PackSlice(kKvF32, kDim, std::as_bytes(std::span(values)), f32.data());
      pages_[page].resize(layout_.bytes);
      PromoteSlice({f32.data(), kDim, format_}, pages_[page].data());
    }
    q_.resize(4 * kDim);
    for (float& x : q_) x = static_cast<float>(rng.Unit() * 4 - 2);
  }

  struct Row {
    float m, l;
    std::vector<float> o;
    friend bool operator==(const Row& a, const Row& b) {
      return std::memcmp(&a.m, &b.m, 4) == 0 && std::memcmp(&a.l, &b.l, 4) == 0 &&
             std::memcmp(a.o.data(), b.o.data(), kDim * 4) == 0;
    }
  };
  // Rows `first`.. with these limits, in one call.
  std::vector<Row> Run(Isa isa, int first, const std::vector<int>& limits) const {
    AttnItem item;
    item.head_dim = kDim;
    item.scale = 0.125f;
    item.num_rows = static_cast<int>(limits.size());
    item.slice = layout_;
    for (size_t r = 0; r < limits.size(); ++r) {
      item.q[r] = q_.data() + (static_cast<size_t>(first) + r) * kDim;
      item.limit[r] = limits[r];
    }
    for (int page = 0; page < kPages; ++page) item.pages[page] = pages_[page].data();
    alignas(64) float o[kAttnMaxRows * kDim];
    std::memset(o, 0xff, sizeof(o));
    AttnState state{{}, {}, o};
    AttnItemFn(AttnKernelsFor(isa), format_)(item, state);
    std::vector<Row> out;
    for (size_t r = 0; r < limits.size(); ++r) {
      const float* row = o + r * kDim;
      out.push_back({state.m[r], state.l[r], {row, row + kDim}});
    }
    return out;
  }

 private:
  static constexpr int kPages = 5;
  KvFormat format_;
  SliceLayout layout_;
  std::vector<std::byte> pages_[kPages];
  std::vector<float> q_;
};

TEST(AttnKernelsTest, FloatRowsWithDifferentLimitsEqualTheSameRowsAlone) {
  for (const Isa isa : HostIsas()) {
    for (const KvFormat format : {kKvF32, kKvF16, kKvBF16}) {
      const KernelRig rig(format);
      for (const std::vector<int>& limits : std::vector<std::vector<int>>{
               {1, 2, 3, 4}, {0, 1, 32, 33}, {127, 128, 129, 160}, {160, 31, 0, 64}, {15, 17}}) {
        const std::vector<KernelRig::Row> together = rig.Run(isa, 0, limits);
        for (size_t r = 0; r < limits.size(); ++r) {
          EXPECT_EQ(together[r], rig.Run(isa, static_cast<int>(r), {limits[r]})[0])
              << IsaName(isa) << " " << KvFormatName(format) << " row " << r;
        }
      }
    }
  }
}

TEST(AttnKernelsTest, IntegerRowsEqualTheSameRowsAlone) {
  for (const Isa isa : HostIsas()) {
    for (const KvFormat format : {kKvI8C, kKvK8V4, kKvI4C}) {
      const KernelRig rig(format);
      for (const int limit : {32, 128, 160}) {
        for (int rows = 2; rows <= 4; ++rows) {
          const auto together = rig.Run(isa, 0, std::vector<int>(static_cast<size_t>(rows), limit));
          for (int r = 0; r < rows; ++r) {
            EXPECT_EQ(together[static_cast<size_t>(r)], rig.Run(isa, r, {limit})[0])
                << IsaName(isa) << " " << KvFormatName(format);
          }
        }
      }
    }
  }
}

// One K8V4 kernel is the K half of I8C and the V half of I4C.
TEST(AttnKernelsTest, EightBitKeysGiveTheScoresOfI8C) {
  for (const Isa isa : HostIsas()) {
    const auto mixed = KernelRig(kKvK8V4).Run(isa, 0, {160, 160});
    const auto eight = KernelRig(kKvI8C).Run(isa, 0, {160, 160});
    for (size_t r = 0; r < mixed.size(); ++r) {
      EXPECT_EQ(mixed[r].m, eight[r].m) << IsaName(isa);
      EXPECT_EQ(mixed[r].l, eight[r].l) << IsaName(isa);
      EXPECT_NE(mixed[r].o, eight[r].o) << IsaName(isa);
    }
  }
}

TEST(AttnKernelsTest, ARowThatReadsNothingIsEmptyAndMergesToNoChange) {
  for (const Isa isa : HostIsas()) {
    const AttnKernels& kernels = AttnKernelsFor(isa);
    const KernelRig rig(kKvF32);
    KernelRig::Row empty = rig.Run(isa, 0, {0, 40})[0];
    EXPECT_EQ(empty.m, -INFINITY);
    EXPECT_EQ(empty.l, 0.0f);
    for (const float x : empty.o) EXPECT_EQ(x, 0.0f);
    KernelRig::Row row = rig.Run(isa, 1, {40})[0];
    row.o[3] = -0.0f;  // an addition of +0 would change this bit
    const KernelRig::Row before = row;
    AttnState state{{row.m}, {row.l}, row.o.data()};
    const AttnState part{{empty.m}, {empty.l}, empty.o.data()};
    kernels.merge(part, 0, kDim, state);
    row.m = state.m[0];
    row.l = state.l[0];
    EXPECT_EQ(row, before) << IsaName(isa);
  }
}

TEST(AttnKernelsTest, TheFirstMergeKeepsThePartial) {
  for (const Isa isa : HostIsas()) {
    KernelRig::Row part = KernelRig(kKvI8C).Run(isa, 0, {96})[0];
    KernelRig::Row total{-INFINITY, 0.0f, std::vector<float>(kDim, 0.0f)};
    AttnState state{{total.m}, {total.l}, total.o.data()};
    AttnKernelsFor(isa).merge({{part.m}, {part.l}, part.o.data()}, 0, kDim, state);
    total.m = state.m[0];
    total.l = state.l[0];
    EXPECT_EQ(total, part) << IsaName(isa);
  }
}

TEST(AttnKernelsTest, FloatScoresAreTheSameInEveryIsaUpToTheirSums) {
  for (const KvFormat format : {kKvF32, kKvF16, kKvBF16}) {
    const KernelRig rig(format);
    const auto scalar = rig.Run(Isa::kScalar, 0, {160, 33});
    for (const Isa isa : HostIsas()) {
      const auto rows = rig.Run(isa, 0, {160, 33});
      for (size_t r = 0; r < rows.size(); ++r) {
        EXPECT_NEAR(rows[r].m, scalar[r].m, 1e-5f) << IsaName(isa) << " " << KvFormatName(format);
        EXPECT_NEAR(rows[r].l, scalar[r].l, 1e-5f * scalar[r].l) << IsaName(isa);
        for (size_t d = 0; d < kDim; ++d) {
          EXPECT_NEAR(rows[r].o[d], scalar[r].o[d], 1e-4f) << IsaName(isa);
        }
      }
    }
  }
}

TEST(AttnKernelsTest, IntegerScoresAreTheSameInEveryIsaUpToTheFloatSums) {
  const std::vector<Isa> isas = HostIsas();
  for (const KvFormat format : {kKvI8C, kKvK8V4, kKvI4C}) {
    const KernelRig rig(format);
    const auto scalar = rig.Run(Isa::kScalar, 0, {160, 160, 160});
    for (const Isa isa : isas) {
      const auto rows = rig.Run(isa, 0, {160, 160, 160});
      for (size_t r = 0; r < rows.size(); ++r) {
        EXPECT_NEAR(rows[r].m, scalar[r].m, 1e-5f) << IsaName(isa);
        EXPECT_NEAR(rows[r].l, scalar[r].l, 1e-5f * scalar[r].l) << IsaName(isa);
        for (size_t d = 0; d < kDim; ++d) {
          EXPECT_NEAR(rows[r].o[d], scalar[r].o[d], 1e-3f) << IsaName(isa);
        }
      }
    }
  }
}

}  // namespace
}  // namespace intactkv
