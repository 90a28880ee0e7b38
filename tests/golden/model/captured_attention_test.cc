// Attention kernels on what the default model gives them.
#include "tests/golden/model/captured_attention.h"

#include "tests/golden/model/default_model.h"

namespace intactkv::golden {
namespace {

class DefaultModelAttentionTest : public CapturedAttentionTest {};

TEST_F(DefaultModelAttentionTest, KernelsAddLessThanHalfOfWhatStoringTook) {
  Capture(DefaultModelPath(), "reference.bin", "scripts/fetch-model.sh");
  if (IsSkipped() || HasFatalFailure()) return;
  CheckEveryKernel();
}

}  // namespace
}  // namespace intactkv::golden
