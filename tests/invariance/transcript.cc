#include "tests/invariance/transcript.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "engine/base/check.h"

namespace intactkv::test {
namespace {

using RowTest = std::function<bool(std::span<const float> got, std::span<const float> want)>;

::testing::AssertionResult Compare(const Transcript& got, const Transcript& want,
                                   const RowTest& same) {
  const auto failure = [] { return ::testing::AssertionFailure(); };
  if (!got.info.status.ok()) return failure() << got.info.status;
  if (!want.info.status.ok()) return failure() << "the expected answer: " << want.info.status;
  if (got.prompt != want.prompt) return failure() << "the prompts differ";
  for (const auto& [position, row] : got.rows) {
    const auto it = want.rows.find(position);
    if (it == want.rows.end()) return failure() << "no expected row at position " << position;
    if (!same(row, it->second)) return failure() << "the logits differ at position " << position;
  }
  if (got.generated != want.generated) return failure() << "the generated ids differ";
  if (got.generated.empty()) return failure() << "no tokens";
  const auto first = static_cast<int32_t>(got.prompt.size()) - 1;
  const auto count = static_cast<int32_t>(got.generated.size());
  for (int32_t position = first; position < first + count; ++position) {
    if (!got.rows.contains(position)) return failure() << "no row at position " << position;
  }
  return ::testing::AssertionSuccess();
}

}  // namespace

bool SameBits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

::testing::AssertionResult SameAnswer(const Transcript& got, const Transcript& want) {
  return Compare(got, want, SameBits);
}

::testing::AssertionResult NearAnswer(const Transcript& got, const Transcript& want,
                                      double tolerance) {
  return Compare(got, want, [&](std::span<const float> a, std::span<const float> b) {
    double largest = 0, worst = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(b[i])));
      worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    }
    return a.size() == b.size() && worst <= tolerance * largest;
  });
}

int32_t NumChangedPromptRows(const Transcript& got, const Transcript& want) {
  CHECK(got.prompt == want.prompt && got.info.status.ok() && want.info.status.ok());
  int32_t changed = 0;
  for (auto position = got.info.usage.pinned_tokens; position < std::ssize(got.prompt);
       ++position) {
    changed += SameBits(got.rows.at(position), want.rows.at(position)) ? 0 : 1;
  }
  return changed;
}

}  // namespace intactkv::test
