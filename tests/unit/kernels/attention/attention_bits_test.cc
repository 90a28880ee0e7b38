// One answer, whatever the load: a row's bits depend on c and its own position alone.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/unit/kernels/attention/attention_rig.h"

namespace intactkv {
namespace {

struct BitsCase {
  Isa isa;
  KvFormat stored;
  int head_dim;
  int group;
};

class AttentionBitsTest : public testing::TestWithParam<BitsCase> {
 protected:
  RigOptions Options(int c) const {
    return {.isa = GetParam().isa,
            .num_layers = 2,
            .kv_heads = 2,
            .group = GetParam().group,
            .head_dim = GetParam().head_dim,
            .pinned = IsFloat(GetParam().stored) ? GetParam().stored : kKvF32,
            .stored = GetParam().stored,
            .pinned_tokens = {c}};
  }
};

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

void ExpectSameRows(const AttentionRig& a, const AttentionRig& b, int sequence_b = 0) {
  ASSERT_EQ(a.num_tokens(0), b.num_tokens(sequence_b));
  for (int token = 0; token < a.num_tokens(0); ++token) {
    ASSERT_TRUE(SameBits(a.Output(0, token), b.Output(sequence_b, token))) << "token " << token;
  }
}

TEST_P(AttentionBitsTest, ChunksAndThreadsChangeNothing) {
  for (const int c : {0, 45}) {
    AttentionRig alone(Options(c));
    alone.Run(std::vector<int>(150, 1));
    ASSERT_LE(alone.Error(0, 149), 1e-3);
    for (const std::vector<int>& chunks : std::vector<std::vector<int>>{
             {150}, {1, 64, 85}, {31, 33, 64, 22}, {32, 32, 32, 32, 22}, {7, 7, 7, 64, 64, 1}}) {
      for (const int threads : {1, 2}) {
        if (threads == 2 && chunks.size() > 4) continue;
        RigOptions options = Options(c);
        options.threads = threads;
        AttentionRig chunked(options);
        chunked.Run(chunks);
        ExpectSameRows(alone, chunked);
      }
    }
  }
}

TEST_P(AttentionBitsTest, OtherSequencesChangeNothing) {
  AttentionRig alone(Options(45));
  alone.Run({64, 36, 1, 1, 1});
  RigOptions options = Options(45);
  options.pinned_tokens = {45, 45, 0, 77};
  AttentionRig crowd(options);
  crowd.Step({{1, 40}, {0, 64}, {3, 65}});
  crowd.Step({{2, 33}, {1, 1}, {0, 36}});
  crowd.Step({{0, 1}, {1, 1}, {2, 1}, {3, 1}});
  crowd.Step({{3, 40}, {0, 1}});
  crowd.Step({{2, 3}, {0, 1}, {1, 70}});
  // The shared page behind position 45 is NaN for one rig and another sequence's text for the
  // other.
  ExpectSameRows(alone, crowd);
}

TEST_P(AttentionBitsTest, StaleScratchAndTailsChangeNothing) {
  AttentionRig fresh(Options(45));
  fresh.Run({20, 50, 30});
  RigOptions options = Options(45);
  options.pinned_tokens = {45, 0};
  AttentionRig poisoned(options);
  poisoned.ScaleKv(1, std::numeric_limits<float>::quiet_NaN());
  poisoned.Step({{1, 300}});  // fills the scratch with NaN
  poisoned.Step({{0, 20}});
  poisoned.Step({{1, 300}});
  poisoned.Step({{0, 50}});
  poisoned.Step({{1, 300}});
  poisoned.Step({{0, 30}});
  ExpectSameRows(fresh, poisoned);
}

TEST_P(AttentionBitsTest, RowsBelowTheMatchDoNotDependOnTheirNumber) {
  RigOptions options = Options(600);
  options.max_tokens = 700;
  AttentionRig rig(options);
  const std::vector<float> all = rig.Peek(0, 500, 40);
  const size_t dim = all.size() / 40;
  for (const int i : {0, 11, 12, 13, 39}) {
    const std::vector<float> one = rig.Peek(0, 500 + i, 1);
    EXPECT_TRUE(SameBits(one, std::span(all).subspan(static_cast<size_t>(i) * dim, dim))) << i;
  }
}

class AttentionLongBitsTest : public AttentionBitsTest {};

TEST_P(AttentionLongBitsTest, ContextsSpreadOverThreadsChangeNothing) {
  RigOptions options = Options(1030);
  options.num_layers = 1;
  options.max_tokens = 2200;
  AttentionRig one(options);
  options.threads = 2;
  AttentionRig two(options);  // spreads the items of the single rows
  one.Run({1023, 1, 1, 1, 1});
  two.Run({1023, 1, 1, 1, 1});
  ExpectSameRows(one, two);
  EXPECT_LE(two.Error(0, 1026), 1e-3);
  options.threads = 1;
  AttentionRig batched(options);
  batched.Run({1023, 4});
  ExpectSameRows(one, batched);
}

std::vector<BitsCase> AllCases() {
  std::vector<BitsCase> out;
  for (const Isa isa : HostIsas()) {
    for (const KvFormat stored : {kKvF32, kKvF16, kKvBF16, kKvI8C, kKvK8V4, kKvI4C}) {
      if (isa == Isa::kScalar) {
        out.push_back({isa, stored, 32, 3});
        continue;
      }
      out.push_back({isa, stored, 64, 3});
      out.push_back({isa, stored, 128, 4});
      out.push_back({isa, stored, 32, 1});
    }
  }
  return out;
}

std::string CaseName(const testing::TestParamInfo<BitsCase>& info) {
  return std::string(IsaName(info.param.isa)) + "_" + std::string(KvFormatName(info.param.stored)) +
         "_d" + std::to_string(info.param.head_dim) + "_g" + std::to_string(info.param.group);
}

INSTANTIATE_TEST_SUITE_P(All, AttentionBitsTest, testing::ValuesIn(AllCases()), CaseName);

// Without SIMD, which is slow, one format of floats and one of codes: the others only load in
// another way.
std::vector<BitsCase> LongCases() {
  std::vector<BitsCase> out;
  for (const BitsCase& one : AllCases()) {
    if (one.isa != Isa::kScalar || one.stored == kKvF32 || one.stored == kKvI8C) out.push_back(one);
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(All, AttentionLongBitsTest, testing::ValuesIn(LongCases()), CaseName);

}  // namespace
}  // namespace intactkv
