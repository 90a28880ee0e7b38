#include "engine/text/tokenizer_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/unit/engine/text/gguf_tokenizer.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;
using Change = std::function<void(TokenizerData&)>;

absl::Status StatusAfter(const Change& change) {
  TokenizerData data = testing::TinyTokenizer({"a b", "ab c"});
  change(data);
  return ValidateTokenizerData(data);
}

TEST(TokenizerDataTest, AcceptsWhatIsConsistent) {
  EXPECT_TRUE(StatusAfter([](TokenizerData&) {}).ok());
  const auto last = [](TokenizerData& d) { d.eos_id = static_cast<int>(d.tokens.size()) - 1; };
  EXPECT_TRUE(StatusAfter(last).ok());
  EXPECT_TRUE(StatusAfter([](TokenizerData& d) { d.bos_id = d.eos_id = -1; }).ok());
}

TEST(TokenizerDataTest, NamesTheFaultyField) {
  const struct {
    const char* field;
    Change change;
  } faults[] = {
      {"tokens is empty", [](TokenizerData& d) { d.tokens.clear(); }},
      {"tokens[3] is empty", [](TokenizerData& d) { d.tokens[3].clear(); }},
      {"tokens[9] repeats", [](TokenizerData& d) { d.tokens[9] = d.tokens[8]; }},
      {"token_type has 261", [](TokenizerData& d) { d.token_types.pop_back(); }},
      {"token_type[4] is 0", [](TokenizerData& d) { d.token_types[4] = 0; }},
      {"token_type[4] is 7", [](TokenizerData& d) { d.token_types[4] = 7; }},
      {"merges[1] needs unknown token \"abX\"", [](TokenizerData& d) { d.merges[1] = "ab X"; }},
      {"merges[1] needs unknown token \"abc!\"", [](TokenizerData& d) { d.merges[1] = "abc !"; }},
      {"merges[0] is not", [](TokenizerData& d) { d.merges[0] = "ab"; }},
      {"merges[0] is not", [](TokenizerData& d) { d.merges[0] = " ab"; }},
      {"merges[0] is not", [](TokenizerData& d) { d.merges[0] = "ab "; }},
      {"merges[0] is not", [](TokenizerData& d) { d.merges[0] = "a b c"; }},
      {"bos_token_id is -2", [](TokenizerData& d) { d.bos_id = -2; }},
      {"eos_token_id is 262",
       [](TokenizerData& d) { d.eos_id = static_cast<int>(d.tokens.size()); }},
      {"add_bos_token", [](TokenizerData& d) { d.add_bos = true, d.bos_id = -1; }},
      {"add_eos_token", [](TokenizerData& d) { d.add_eos = true, d.eos_id = -1; }},
      {"unknown_token_id is 1000", [](TokenizerData& d) { d.unk_id = 1000; }},
      {"an end id is 5000", [](TokenizerData& d) { d.end_ids = {1, 5000}; }},
      {"an end id is negative", [](TokenizerData& d) { d.end_ids = {-1}; }},
      {"added token -1 is outside", [](TokenizerData& d) { d.added = {{.id = -1}}; }},
      {"added token 5000 is outside", [](TokenizerData& d) { d.added = {{.id = 5000}}; }},
      {"added token 97: it is no", [](TokenizerData& d) { d.added = {{.id = 97}}; }},
  };
  for (const auto& fault : faults) {
    const absl::Status status = StatusAfter(fault.change);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << fault.field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(fault.field));
  }
}

TEST(TokenizerDataTest, ScoresStandInForMerges) {
  const auto status = [](const Change& change) {
    return StatusAfter([&](TokenizerData& d) {
      d.model = "llama";
      d.merges.clear();
      d.scores.assign(d.tokens.size(), -1.0f);
      change(d);
    });
  };
  EXPECT_TRUE(status([](TokenizerData&) {}).ok());
  const struct {
    const char* field;
    Change change;
  } faults[] = {
      {"scores has 0 entries", [](TokenizerData& d) { d.scores.clear(); }},
      {"scores[7] is not finite", [](TokenizerData& d) { d.scores[7] = std::nanf(""); }},
      {"tokens[7] is longer", [](TokenizerData& d) { d.tokens[7].assign(513, 'x'); }},
  };
  for (const auto& fault : faults) {
    EXPECT_EQ(status(fault.change).code(), absl::StatusCode::kInvalidArgument) << fault.field;
    EXPECT_THAT(std::string(status(fault.change).message()), HasSubstr(fault.field));
  }
}

TEST(TokenizerDataTest, WhatAFileLeavesOutIsTheFamilys) {
  TokenizerData data = testing::TinyTokenizer();
  data.pre = "llama-bpe";
  TokenizerData llama3 = ResolveDefaults(data);
  EXPECT_TRUE(*llama3.add_bos && *llama3.ignore_merges);
  EXPECT_FALSE(*llama3.nfc || *llama3.add_eos);
  data.add_bos = false;
  EXPECT_FALSE(*ResolveDefaults(data).add_bos);
  data.add_bos.reset();
  data.bos_id = -1;
  EXPECT_FALSE(*ResolveDefaults(data).add_bos);
  data = testing::TinyTokenizer();
  data.pre = "qwen2";
  TokenizerData qwen2 = ResolveDefaults(data);
  EXPECT_TRUE(*qwen2.nfc);
  EXPECT_FALSE(*qwen2.add_bos || *qwen2.ignore_merges);
  data.model = "llama";
  TokenizerData llama2 = ResolveDefaults(data);
  EXPECT_TRUE(*llama2.add_bos);
  EXPECT_EQ(llama2.space->prefix, SpacePrefix::kAlways);
}

TEST(TokenizerDataTest, NamesWhatIsNotBuiltIn) {
  const absl::Status pre = StatusAfter([](TokenizerData& d) { d.pre = "chatglm-bpe"; });
  EXPECT_EQ(pre.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(pre.message()), HasSubstr("tokenizer.ggml.pre \"chatglm-bpe\""));
  const absl::Status model = StatusAfter([](TokenizerData& d) { d.model = "bert"; });
  EXPECT_EQ(model.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(model.message()), HasSubstr("tokenizer.ggml.model \"bert\""));
}

}  // namespace
}  // namespace intactkv
