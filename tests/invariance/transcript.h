// What one request came to, logits included, and comparing two of them bit for bit.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "engine/api/engine.h"

namespace intactkv::test {

struct Transcript {
  std::vector<TokenId> prompt;
  std::vector<TokenId> generated;
  std::vector<SampledToken> scored;  // with score_prompt: the prompt's tokens after its first
  bool finished = false;
  FinishInfo info;                             // once finished
  std::map<int32_t, std::vector<float>> rows;  // logits by absolute position
};

// Not operator==: 0 and -0 differ, a NaN equals itself.
bool SameBits(std::span<const float> a, std::span<const float> b);

// Both ended well with the same ids, and each row of `got` has the bits of the same row of `want`.
// `got` may lack rows that it took from a cache, but never those that gave its tokens.
::testing::AssertionResult SameAnswer(const Transcript& got, const Transcript& want);

// As SameAnswer, but up to `tolerance` x the row's largest |logit| of `want`.
::testing::AssertionResult NearAnswer(const Transcript& got, const Transcript& want,
                                      double tolerance);

// Rows of the common prompt that differ in some bit. Requires the same prompt and rows.
int32_t NumChangedPromptRows(const Transcript& got, const Transcript& want);

}  // namespace intactkv::test
