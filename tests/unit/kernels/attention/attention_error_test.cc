// Kernel error against double-precision math on the same codes (decisions.md 4, "Kernel error").
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/kernels/attention/attention_rig.h"

namespace intactkv {
namespace {

struct ErrorCase {
  Isa isa;
  KvFormat stored;
  KvFormat pinned;
  int head_dim;
  int group;
};

class AttentionErrorTest : public testing::TestWithParam<ErrorCase> {};

// Around the edges of pages (32), macro tiles (128) and items (512).
constexpr int kEdges[] = {0, 1, 30, 31, 32, 33, 63, 64, 65, 127, 128, 129, 511, 512, 513, 1099};

TEST_P(AttentionErrorTest, IsSmallAroundEveryEdge) {
  const ErrorCase& param = GetParam();
  const bool slow = param.isa == Isa::kScalar;
  const double bound = IsFloat(param.stored) ? 1e-5 : 1e-3;
  for (const int c : {0, 1, 31, 32, 33, 129, 513, 1100}) {
    if (slow && c > 129 && param.head_dim > 32) continue;
    const int tokens = slow && param.head_dim > 32 ? 140 : 1100;
    AttentionRig rig({.isa = param.isa,
                      .group = param.group,
                      .head_dim = param.head_dim,
                      .pinned = param.pinned,
                      .stored = param.stored,
                      .pinned_tokens = {c},
                      .max_tokens = c + tokens});
    // Rows do not depend on the chunk, which attention_bits_test proves.
    rig.Run({c == 0 ? tokens : 140});
    for (const int token : kEdges) {
      if (token >= rig.num_tokens(0)) break;
      EXPECT_LE(rig.Error(0, token), bound) << "c " << c << " token " << token;
    }
  }
}

std::vector<ErrorCase> AllCases() {
  std::vector<ErrorCase> out;
  for (const Isa isa : HostIsas()) {
    for (const KvFormat stored : {kKvF32, kKvF16, kKvBF16, kKvI8C, kKvK8V4, kKvI4C}) {
      const KvFormat pinned = stored == kKvF16 || stored == kKvI4C     ? kKvF16
                              : stored == kKvBF16 || stored == kKvK8V4 ? kKvBF16
                                                                       : kKvF32;
      for (const int head_dim : {32, 64, 96, 128}) {
        for (const int group : {1, 3, 4}) out.push_back({isa, stored, pinned, head_dim, group});
      }
    }
  }
  return out;
}

std::string CaseName(const testing::TestParamInfo<ErrorCase>& info) {
  return std::string(IsaName(info.param.isa)) + "_" + std::string(KvFormatName(info.param.stored)) +
         "_d" + std::to_string(info.param.head_dim) + "_g" + std::to_string(info.param.group);
}

INSTANTIATE_TEST_SUITE_P(All, AttentionErrorTest, testing::ValuesIn(AllCases()), CaseName);

TEST(AttentionErrorTest, LargestHeadAndGroupOfSeven) {
  for (const Isa isa : HostIsas()) {
    for (const KvFormat stored : {kKvF32, kKvBF16, kKvI8C, kKvK8V4, kKvI4C}) {
      AttentionRig rig({.isa = isa,
                        .kv_heads = 2,
                        .group = 7,
                        .head_dim = 256,
                        .stored = stored,
                        .pinned_tokens = {40}});
      rig.Run({70});
      for (const int token : {0, 31, 32, 69}) {
        EXPECT_LE(rig.Error(0, token), IsFloat(stored) ? 1e-5 : 1e-3) << IsaName(isa);
      }
    }
  }
}

// What the kernel adds is less than half of what storing took, also where channels of K are large
// and constant, or many times as strong as others.
TEST(AttentionErrorTest, IsBelowHalfTheStorageErrorOnConstantAndStrongChannels) {
  for (const Isa isa : HostIsas()) {
    for (const KvFormat stored : {kKvF16, kKvBF16, kKvI8C, kKvK8V4, kKvI4C}) {
      for (const int head_dim : {64, 128}) {
        AttentionRig rig({.isa = isa,
                          .group = 3,
                          .head_dim = head_dim,
                          .stored = stored,
                          .strong_channels = true});
        rig.Run({isa == Isa::kScalar ? 200 : 600});
        for (int token = 40; token < rig.num_tokens(0); token += 53) {
          EXPECT_GT(rig.StorageError(0, token), 0.0);
          EXPECT_LE(rig.Error(0, token), rig.StorageError(0, token) / 2)
              << IsaName(isa) << " " << KvFormatName(stored) << " d" << head_dim << " " << token;
        }
      }
    }
  }
}

TEST(AttentionErrorTest, ZeroQueryAveragesTheValues) {
  for (const Isa isa : HostIsas()) {
    AttentionRig rig({.isa = isa, .group = 3, .stored = kKvI8C, .pinned_tokens = {5}});
    rig.ScaleQueries(0.0f);
    rig.Run({140});
    for (const int token : {0, 32, 139}) EXPECT_LE(rig.Error(0, token), 1e-3) << IsaName(isa);
  }
}

TEST(AttentionErrorTest, TinyQueriesAndValuesStayFinite) {
  for (const Isa isa : HostIsas()) {
    AttentionRig rig({.isa = isa, .group = 3, .stored = kKvI4C});
    rig.ScaleQueries(1e-38f);
    rig.ScaleKv(0, 1e-3f);
    rig.Run({100});
    for (const int token : {0, 64, 99}) EXPECT_LE(rig.Error(0, token), 1e-3) << IsaName(isa);
  }
}

TEST(AttentionErrorTest, RowsBelowTheMatchReadTheirOwnPast) {
  for (const Isa isa : HostIsas()) {
    for (const KvFormat pinned : {kKvF32, kKvF16, kKvBF16}) {
      AttentionRig rig(
          {.isa = isa, .group = 3, .pinned = pinned, .pinned_tokens = {600}, .max_tokens = 700});
      const std::vector<float> out = rig.Peek(0, 490, 60);
      const size_t dim = out.size() / 60;
      for (const int position : {490, 510, 511, 512, 513, 543, 544, 549}) {
        const std::span<const float> row =
            std::span(out).subspan(static_cast<size_t>(position - 490) * dim, dim);
        EXPECT_LE(rig.PeekError(0, position, row), 1e-5) << IsaName(isa) << " " << position;
      }
    }
  }
}

}  // namespace
}  // namespace intactkv
