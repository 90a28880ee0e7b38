// The whole engine on the default model against the recorded reference.
#include "tests/golden/model/golden_fixture.h"

namespace intactkv::golden {
namespace {

class DefaultModelTest : public GoldenModelTest {
 protected:
  void SetUp() override { Open(DefaultModelPath(), "reference.bin", 20, "scripts/fetch-model.sh"); }
};

TEST_F(DefaultModelTest, ReferenceConfigurationComputesWhatTransformersComputes) {
  config_.weights = config_.activations = config_.kv = "f32";
  Check({.check_exact = true});
}

TEST_F(DefaultModelTest, DefaultConfigurationStaysCloseToFullPrecision) {
  const GoldenReport report = Check({.check_close = true});
  EXPECT_GT(report.worst_logit, kLogitBound) << "this is not the quantized configuration";
}

}  // namespace
}  // namespace intactkv::golden
