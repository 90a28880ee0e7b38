#include "engine/text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/base/rng.h"
#include "engine/base/status_macros.h"
#include "engine/text/text_codec.h"
#include "engine/text/tokenizer_directory.h"

namespace intactkv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string FamilyFile(const std::string& name) {
  std::ifstream file(INTACTKV_SOURCE_DIR "/tests/unit/engine/text/families/" + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_GT(text.str().size(), 1000u) << name;
  return text.str();
}

// `text` with its only (or first) `from` replaced.
std::string With(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

absl::StatusOr<TokenizerData> Parse(std::string tokenizer) {
  return ParseTokenizerFiles({.tokenizer = std::move(tokenizer)}, "dir");
}

TEST(TokenizerJsonTest, ReadsTheFiles) {
  const absl::StatusOr<TokenizerData> data =
      ParseTokenizerFiles({.tokenizer = FamilyFile("qwen2.tokenizer.json"),
                           .config = R"({"bos_token": null, "eos_token": {"content": "<|im_end|>"},
                     "add_bos_token": false, "chat_template": "from the config"})",
                           .chat_template = "from its own file",
                           .end_ids = {1002, 1000}},
                          "dir");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->model, "gpt2");
  EXPECT_EQ(data->pre, "qwen2");
  EXPECT_EQ(data->nfc, true);
  EXPECT_EQ(data->ignore_merges, false);
  EXPECT_EQ(data->bos_id, -1);
  EXPECT_EQ(data->tokens[static_cast<size_t>(data->eos_id)], "<|im_end|>");
  EXPECT_EQ(data->add_bos, false);
  EXPECT_EQ(data->chat_template, "from its own file");
  EXPECT_THAT(data->end_ids, ElementsAre(1002, 1000));
  const auto codec = MakeTextCodec(*data);
  ASSERT_TRUE(codec.ok()) << codec.status();
  EXPECT_THAT((*codec)->end_ids(), ElementsAre(TokenId(1002), TokenId(1000)));
}

TEST(TokenizerJsonTest, TheConfigsFlagsWinOverThePostProcessor) {
  const std::string tokenizer = FamilyFile("llama2.tokenizer.json");
  const auto ids = [&](const std::string& config) {
    const auto data = ParseTokenizerFiles({.tokenizer = tokenizer, .config = config}, "dir");
    EXPECT_TRUE(data.ok()) << data.status();
    const auto codec = MakeTextCodec(data.value());
    EXPECT_TRUE(codec.ok()) << codec.status();
    return (*codec)->Encode("").value();
  };
  EXPECT_THAT(ids("{}"), ElementsAre(TokenId(1)));
  EXPECT_THAT(ids(R"({"add_bos_token": false})"), ElementsAre());
  EXPECT_THAT(ids(R"({"eos_token": "</s>", "add_eos_token": true})"),
              ElementsAre(TokenId(1), TokenId(2)));
}

TEST(TokenizerJsonTest, TemplatesWithNames) {
  const auto with = [](const std::string& templates) {
    return ParseTokenizerFiles({.tokenizer = FamilyFile("llama2.tokenizer.json"),
                                .config = R"({"chat_template": )" + templates + "}"},
                               "dir");
  };
  const auto data = with(R"([{"name": "tool_use", "template": "t"},
                             {"name": "default", "template": "d"}])");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->chat_template, "d");
  EXPECT_THAT(std::string(with(R"([{"name": "x", "template": "t"}])").status().message()),
              HasSubstr("'default'"));
}

TEST(TokenizerJsonTest, RefusesByNameWhatIsNotBuiltIn) {
  const std::string llama3 = FamilyFile("llama3.tokenizer.json");
  const std::string llama2 = FamilyFile("llama2.tokenizer.json");
  const std::string mistral = FamilyFile("mistral.tokenizer.json");
  const struct {
    const char* named;
    std::string text;
  } kCases[] = {
      {"key 'version': '1.1'", With(llama2, R"({"version":"1.0")", R"({"version":"1.1")")},
      {"Unigram", With(llama2, R"("type":"BPE")", R"("type":"Unigram")")},
      {"NFKC", With(llama3, R"("normalizer":null)", R"("normalizer":{"type":"NFKC"})")},
      {"Lowercase", With(llama2, R"({"type":"Prepend","prepend":"▁"})", R"({"type":"Lowercase"})")},
      {"BertPreTokenizer",
       With(llama2, R"("pre_tokenizer":null)", R"("pre_tokenizer":{"type":"BertPreTokenizer"})")},
      {"\\p{N}{1,4}", With(llama3, "{1,3}", "{1,4}")},
      {"Split, ByteLevel", With(llama3, "\"Isolated\"", "\"Removed\"")},
      {"WordPiece", With(llama2, R"("type":"ByteFallback")", R"("type":"WordPiece")")},
      {"RobertaProcessing", With(llama2, "TemplateProcessing", "RobertaProcessing")},
      {"add_prefix_space",
       With(llama3, R"("add_prefix_space":false)", R"("add_prefix_space":true)")},
      {"replacement", With(mistral, R"("replacement":"▁")", R"("replacement":"_")")},
      {"ignore_merges", With(llama2, R"("ignore_merges":false)", R"("ignore_merges":true)")},
      {"end_of_word_suffix",
       With(llama2, R"("end_of_word_suffix":null)", R"("end_of_word_suffix":"</w>")")},
  };
  for (const auto& one : kCases) {
    const absl::Status status = Parse(one.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << one.named;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.named));
    EXPECT_THAT(std::string(status.message()), HasSubstr("dir/tokenizer.json"));
  }
}

TEST(TokenizerJsonTest, NamesWhatIsDamaged) {
  const std::string llama2 = FamilyFile("llama2.tokenizer.json");
  const struct {
    const char* named;
    std::string text;
  } kCases[] = {
      {"not valid JSON", llama2.substr(0, llama2.size() / 2)},
      {"twice", With(llama2, R"({"version")", R"({"model":1,"version")")},
      {"'model'", "{}"},
      {"id 2 is both", With(llama2, R"("content":"</s>")", R"("content":"</t>")")},
      {"is no token id", With(llama2, R"("</s>":2)", R"("</s>":2.5)")},
      {"is no token id", With(llama2, R"("</s>":2)", R"("</s>":-1)")},
      {"'model.unk_token'", With(llama2, R"("unk_token":"<unk>")", R"("unk_token":"<u>")")},
      {"no pair", With(llama2, R"("merges":[[)", R"("merges":[["a"],[)")},
      {"unknown token <q>",
       With(llama2, R"({"SpecialToken":{"id":"<s>")", R"({"SpecialToken":{"id":"<q>")")},
      {"without a token", With(llama2, R"("</s>":2)", R"("</s>":1000000)")},
  };
  for (const auto& one : kCases) {
    const absl::Status status = Parse(one.text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.named << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.named));
  }
}

// Whatever the bytes, the answer is a tokenizer or one line that says why not.
TEST(TokenizerJsonTest, DamagedFilesGiveOneLineOrATokenizer) {
  const std::string names[] = {"qwen2", "llama2-flags", "mistral", "llama3"};
  Rng rng(31);
  int refused = 0, accepted = 0;
  for (int round = 0; round < 400; ++round) {
    std::string text = FamilyFile(names[rng.Below(4)] + ".tokenizer.json");
    // The long middle is vocabulary and merges: damage the structure as often as those.
    const size_t limit = rng.Below(2) ? text.size() : 2500;
    for (size_t n = 1 + rng.Below(3); n > 0; --n) {
      const size_t at = rng.Below(limit);
      switch (rng.Below(3)) {
        case 0:
          text[at] = static_cast<char>(rng.Below(256));
          break;
        case 1:
          text.erase(at, 1 + rng.Below(8));
          break;
        default:
          text.insert(at, 1, "\"{}[],:0-"[rng.Below(9)]);
      }
    }
    absl::StatusOr<TokenizerData> data = Parse(std::move(text));
    const absl::Status status =
        data.ok() ? MakeTextCodec(*std::move(data)).status() : data.status();
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos) << status;
    ++(status.ok() ? accepted : refused);
  }
  EXPECT_GT(refused, 200);
  EXPECT_GT(accepted, 10);
}

TEST(TokenizerJsonTest, EndIdsAreTokensAndOneIsTheEos) {
  const std::string tokenizer = FamilyFile("llama2.tokenizer.json");
  const auto data = ParseTokenizerFiles({.tokenizer = tokenizer, .end_ids = {2, 7}}, "dir");
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->eos_id, 2);
  for (const int64_t bad : {int64_t{-1}, int64_t{1000}, int64_t{1} << 32}) {
    const auto refused = ParseTokenizerFiles({.tokenizer = tokenizer, .end_ids = {bad}}, "dir");
    EXPECT_THAT(std::string(refused.status().message()),
                HasSubstr("eos_token_id " + std::to_string(bad)));
  }
}

class TokenizerDirectoryTest : public ::testing::Test {
 protected:
  TokenizerDirectoryTest() { std::filesystem::create_directories(directory_); }
  ~TokenizerDirectoryTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  absl::StatusOr<TokenizerData> Read() { return ReadTokenizerDirectory(directory_.string()); }

  const std::filesystem::path directory_ =
      std::filesystem::path(::testing::TempDir()) / "tokenizer_directory_test" /
      ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(TokenizerDirectoryTest, ReadsWhatIsThere) {
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kNotFound);
  Write("tokenizer.json", FamilyFile("mistral.tokenizer.json"));
  absl::StatusOr<TokenizerData> data = Read();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(data->end_ids, ElementsAre());
  EXPECT_EQ(data->chat_template, "");
  Write("config.json", R"({"eos_token_id": 2})");
  Write("tokenizer_config.json", R"({"eos_token": "</s>", "chat_template": "c"})");
  data = Read();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(data->end_ids, ElementsAre(2));
  EXPECT_EQ(data->chat_template, "c");
  Write("generation_config.json", R"({"eos_token_id": [2, 3]})");
  Write("chat_template.jinja", "its own file");
  data = Read();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(data->end_ids, ElementsAre(2, 3));
  EXPECT_EQ(data->chat_template, "its own file");
}

TEST_F(TokenizerDirectoryTest, NamesTheDamagedFile) {
  Write("tokenizer.json", FamilyFile("mistral.tokenizer.json"));
  for (const char* name : {"generation_config.json", "tokenizer_config.json"}) {
    Write(name, "[");
    EXPECT_EQ(Read().status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(Read().status().message()), HasSubstr(name));
    Write(name, "{}");
    EXPECT_TRUE(Read().ok());
  }
  Write("generation_config.json", R"({"eos_token_id": "</s>"})");
  EXPECT_THAT(std::string(Read().status().message()), HasSubstr("'eos_token_id'"));
  Write("generation_config.json", "{}");
  Write("tokenizer.json", "");
  EXPECT_THAT(std::string(Read().status().message()), HasSubstr("tokenizer.json"));
}

TEST(TokenizerJsonTest, OnlyTheTemplatesOwnTextMakesSpecialTokens) {
  const absl::StatusOr<TokenizerData> data = ParseTokenizerFiles(
      {.tokenizer = FamilyFile("mistral.tokenizer.json"),
       .config = R"({"bos_token": "<s>", "eos_token": "</s>"})",
       .chat_template = "{{ bos_token }}[INST] {{ messages[0].content }}[/INST]"},
      "dir");
  ASSERT_TRUE(data.ok()) << data.status();
  const auto codec = MakeTextCodec(*data);
  ASSERT_TRUE(codec.ok()) << codec.status();
  const std::vector<ChatMessage> messages = {{"user", "[INST]"}};
  const auto ids = (*codec)->EncodeChat(messages, false);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ((*codec)->Decode(*ids, true).value(), "<s>[INST] [INST][/INST]");
  EXPECT_EQ(std::count(ids->begin(), ids->end(), TokenId(3)), 1);  // the template's own [INST]
}

}  // namespace
}  // namespace intactkv
