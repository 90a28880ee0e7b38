#include "tests/support/reference_llama.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

// Logits 0, 40, 80, ... at three positions of these tokens, from Hugging Face Transformers 5.23.0
// in float64; see tests/support/tiny_reference.py.
constexpr int32_t kTokens[] = {1, 70, 71, 72, 200, 3, 319, 0};
struct GoldenRow {
  int position;
  double logits[8];
};
constexpr GoldenRow kGolden[] = {
    {0, {-2.391574, -2.262205, 2.453598, 2.917626, 2.151288, -4.369325, -3.823142, 3.074746}},
    {4, {-3.612345, 0.044044, -2.243959, 1.957492, 2.102987, -5.573819, -2.768905, 4.772695}},
    {7, {-4.620348, -0.528779, 2.397717, -1.041384, 1.737037, -5.243927, 5.292033, 3.643282}},
};

TEST(ReferenceLlamaTest, AgreesWithTransformersOnTheTinyModel) {
  const std::vector<std::byte> bytes = test::TinyModelBytes();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(bytes, "tiny.gguf");
  const absl::StatusOr<ModelConfig> config = ReadModelConfig(*file);
  ASSERT_TRUE(config.ok()) << config.status();
  const std::vector<double> logits = test::ReferenceLogits(*file, *config, kTokens);
  ASSERT_EQ(logits.size(), std::size(kTokens) * 320);
  for (const GoldenRow& row : kGolden) {
    for (size_t i = 0; i < 8; ++i) {
      // Transformers keeps the RoPE angles in float32.
      EXPECT_NEAR(logits[static_cast<size_t>(row.position) * 320 + i * 40], row.logits[i], 2e-5)
          << "position " << row.position << ", logit " << i * 40;
    }
  }
}

}  // namespace
}  // namespace intactkv
