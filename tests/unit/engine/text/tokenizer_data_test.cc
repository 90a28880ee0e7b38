#include "engine/text/tokenizer_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  };
  for (const auto& fault : faults) {
    const absl::Status status = StatusAfter(fault.change);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << fault.field;
    EXPECT_THAT(std::string(status.message()), HasSubstr(fault.field));
  }
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
