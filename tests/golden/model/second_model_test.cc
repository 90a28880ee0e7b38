// The whole engine on Qwen2.5-Coder-0.5B-Instruct (Q4_K_M) against its recorded reference.
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

}  // namespace
}  // namespace intactkv::golden
