// What is captured is what the model computes: against a pass in double precision, of a tiny model.
#include "tests/golden/model/capture_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "engine/base/rng.h"
#include "engine/model/gguf.h"
#include "tests/support/reference_llama.h"
#include "tests/support/tiny_model.h"

namespace intactkv::golden {
namespace {

void ExpectNear(const std::vector<float>& got, const std::vector<double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], 1e-4) << i;
  }
}

TEST(CaptureModelTest, FirstMiddleAndLastLayerAsTheModelComputesThem) {
  const std::string path =
      ::testing::TempDir() + "/captured_" + std::to_string(::getpid()) + ".gguf";
  test::WriteTinyModel(path, {.num_layers = 5, .architecture = "qwen2", .type = TensorType::kQ8_0});
  Rng rng(2);
  CaptureOptions options{.model_path = path, .first_asked = 40, .num_asked = 3};
  std::vector<int32_t> ids;
  for (int i = 0; i < 70; ++i) {
    ids.push_back(static_cast<int32_t>(rng.Below(320)));
    options.tokens.emplace_back(ids.back());
  }
  const auto capture = CaptureModel(options);
  ASSERT_TRUE(capture.ok()) << capture.status();
  const GgufFile file = GgufFile::Open(path).value();
  const test::ReferenceRun want = test::RunReference(file, capture->config, ids);
  std::remove(path.c_str());

  ASSERT_EQ(capture->layers.size(), 3u);
  for (const int layer : {0, 2, 4}) {
    SCOPED_TRACE(layer);
    ASSERT_EQ(capture->layers.count(layer), 1u);
    const RecordedRows& rows = capture->layers.at(layer);
    const size_t at = static_cast<size_t>(layer);
    ExpectNear(rows.q, want.queries[at]);
    ExpectNear(rows.k, want.keys[at]);
    ExpectNear(rows.v, want.values[at]);
  }
  ASSERT_EQ(capture->greedy.size(), 3u);
  for (std::ptrdiff_t i = 0; i < 3; ++i) {
    const auto row = want.logits.begin() + (40 + i) * 320;
    EXPECT_EQ(capture->greedy[static_cast<size_t>(i)].value,
              std::max_element(row, row + 320) - row);
  }
}

TEST(CaptureModelTest, SaysWhatItCannotOpen) {
  EXPECT_FALSE(CaptureModel({.model_path = "/no/such/file", .tokens = {TokenId(1)}}).ok());
}

}  // namespace
}  // namespace intactkv::golden
