// What the invariance tests share: one parameter per instruction set and table of stored formats,
// and the claim that the kernels of that instruction set ran.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "kernels/cpu/isa.h"
#include "tests/invariance/stored_table.h"
#include "tests/invariance/tiny_server.h"

namespace intactkv::test {

inline void ExpectKernels(const TinyServer& server, Isa isa, const StoredTable& stored) {
  const std::string attention = isa == Isa::kAvx512 ? "avx512vnni" : std::string(IsaName(isa));
  std::map<std::string, std::string> kernels;
  for (const KernelChoice& choice : server.Kernels()) kernels[choice.operation] = choice.kernel;
  EXPECT_EQ(server.backend().name(), "cpu " + std::string(IsaName(isa)));
  EXPECT_EQ(kernels["attention pinned f32"], "attn_f32_d64__" + attention);
  for (const KvFormat layer : stored.layers) {
    const std::string format(KvFormatName(layer));
    EXPECT_EQ(kernels["attention stored " + format], "attn_" + format + "_d64__" + attention);
  }
  EXPECT_EQ(kernels["attention own f32"], "attn_f32_d64__" + attention);
  EXPECT_EQ(kernels["linear 4-bit"], "gemm_w4a8_g32__" + attention);
  EXPECT_EQ(kernels["linear 8-bit"], "gemm_w8a8_g32__" + attention);
}

class InvarianceTest : public ::testing::TestWithParam<std::tuple<Isa, StoredTable>> {
 protected:
  void SetUp() override {
    if (isa() > HostIsa()) GTEST_SKIP() << "this CPU lacks " << IsaName(isa());
  }
  Isa isa() const { return std::get<0>(GetParam()); }
  const StoredTable& stored() const { return std::get<1>(GetParam()); }
  // Without SIMD a token takes some 40 times as long; one test per claim is complete there, too.
  bool is_slow() const { return isa() == Isa::kScalar; }
  ServerSpec Spec() const { return {.isa = isa(), .stored = stored()}; }
  std::unique_ptr<TinyServer> Serve(const ServerSpec& spec) const {
    auto server = std::make_unique<TinyServer>(spec);
    ExpectKernels(*server, isa(), stored());
    return server;
  }
};

inline std::string InvarianceName(
    const ::testing::TestParamInfo<std::tuple<Isa, StoredTable>>& info) {
  return std::string(IsaName(std::get<0>(info.param))) + "_" + std::get<1>(info.param).Name();
}

// NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a test suite
#define INSTANTIATE_INVARIANCE_TEST(suite)                                          \
  INSTANTIATE_TEST_SUITE_P(                                                         \
      All, suite,                                                                   \
      ::testing::Combine(::testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512), \
                         ::testing::ValuesIn(kStoredTables)),                       \
      InvarianceName)

}  // namespace intactkv::test
