// Attention kernels on what Qwen2.5-Coder-0.5B-Instruct (Q4_K_M) gives them: K with large constant
// channels.
#include "tests/golden/model/captured_attention.h"
#include "tests/golden/model/default_model.h"

namespace intactkv::golden {
namespace {

class SecondModelAttentionTest : public CapturedAttentionTest {};

TEST_F(SecondModelAttentionTest, KernelsAddLessThanHalfOfWhatStoringTook) {
  Capture(SecondModelPath(), "qwen2.5-coder-0.5b.bin", "scripts/fetch-model.sh qwen2.5-coder-0.5b");
  if (IsSkipped() || HasFatalFailure()) return;
  CheckEveryKernel();
}

}  // namespace
}  // namespace intactkv::golden
