// The whole engine on Qwen2.5-Coder-0.5B-Instruct (Q4_K_M) against its recorded reference.
#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint/opened_model.h"
#include "server/config/server_config.h"
#include "server/main/serving_stack.h"
#include "tests/golden/model/golden_fixture.h"

namespace intactkv::golden {
namespace {

class SecondModelTest : public GoldenModelTest {
 protected:
  void SetUp() override {
    Open(SecondModelPath(), "qwen2.5-coder-0.5b.bin", 10,
         "scripts/fetch-model.sh qwen2.5-coder-0.5b");
  }
};

TEST_F(SecondModelTest, ReferenceConfigurationComputesWhatTransformersComputes) {
  config_.weights = config_.activations = config_.kv = "f32";
  Check({.check_exact = true});
}

TEST_F(SecondModelTest, DefaultConfigurationStaysCloseToFullPrecision) {
  const GoldenReport report = Check({.check_close = true, .max_mean_kl = kMaxMeanKlOfSecond});
  EXPECT_GT(report.worst_logit, kLogitBound) << "this is not the quantized configuration";
}

// Its "Q4_K_M" is a mix of Q4_K, Q5_0, Q6_K and Q8_0. All weights are read once per token, but for
// the embedding, which is kept in a container like the others.
TEST_F(SecondModelTest, WeightsAreServedInHardlyMoreBytesThanTheFileHas) {
  const auto files = OpenedModel::Open(config_.model_path);
  ASSERT_TRUE(files.ok()) << files.status();
  size_t bytes = 0;
  for (const WeightTensor& tensor : files->weights().tensors()) bytes += tensor.data.size();
  const std::vector<std::string> flags = {"--model", config_.model_path};
  const auto config = ParseServeFlags(flags, [](const std::string&) { return std::nullopt; });
  ASSERT_TRUE(config.ok()) << config.status();
  const auto stack = intactkv::ServingStack::Build(*config, {});
  ASSERT_TRUE(stack.ok()) << stack.status();
  const double ratio =
      static_cast<double>((*stack)->plan().weights_bytes) / static_cast<double>(bytes);
  std::cout << (*stack)->plan().weights_bytes << " bytes of weights served, " << bytes
            << " in the file: " << ratio << "\n";
  EXPECT_GT(ratio, 0.95) << "something is not counted";
  EXPECT_LE(ratio, 1.05);
}

}  // namespace
}  // namespace intactkv::golden
