#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "server/request/request_limits.h"
#include "server/request/validated_request.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

ServedModel Model() { return {.name = "m", .max_model_len = 100, .vocab_size = kFakeVocabSize}; }

RawRequest Chat() {
  RawRequest raw;
  raw.endpoint = Endpoint::kChat;
  raw.model = "m";
  raw.messages = std::vector<ChatMessage>{{"user", "hi"}};
  return raw;
}

RawRequest Text() {
  RawRequest raw;
  raw.endpoint = Endpoint::kCompletions;
  raw.model = "m";
  raw.prompt = "hi";
  return raw;
}

// "" if it is accepted, else "code param".
std::string Verdict(RawRequest raw) {
  const auto result = ValidateRequest(std::move(raw), Model());
  return result.ok() ? "" : result.error().code + " " + result.error().param;
}

struct Row {
  const char* name;
  std::function<void(RawRequest&)> change;
  const char* verdict;
};

void CheckRows(const RawRequest& base, const std::vector<Row>& rows) {
  ASSERT_EQ(Verdict(base), "");
  for (const Row& row : rows) {
    RawRequest raw = base;
    row.change(raw);
    EXPECT_EQ(Verdict(raw), row.verdict) << row.name;
    raw.endpoint = Endpoint::kGenerate;  // gRPC: the same fault, the same words
    if (base.endpoint == Endpoint::kChat) {
      EXPECT_EQ(Verdict(raw), row.verdict) << row.name << " (gRPC)";
    }
  }
}

TEST(ValidateRequestTest, OnlyGrpcMayLeaveTheModelOut) {
  RawRequest raw = Chat();
  raw.model.reset();
  EXPECT_EQ(Verdict(raw), "missing_required_parameter model");
  raw.endpoint = Endpoint::kGenerate;
  EXPECT_EQ(Verdict(raw), "");
}

TEST(ValidateRequestTest, ModelAndUnsupportedParameters) {
  CheckRows(Chat(), {
                        {"other model", [](auto& r) { r.model = "M"; }, "model_not_found model"},
                        {"empty model", [](auto& r) { r.model = ""; }, "model_not_found model"},
                        {"tools", [](auto& r) { r.unsupported = {"tools", "echo"}; },
                         "unsupported_parameter tools"},
                        {"echo", [](auto& r) { r.echo = true; }, "unsupported_parameter echo"},
                        {"no echo", [](auto& r) { r.echo = false; }, ""},
                    });
  RawRequest raw = Chat();
  raw.model = "other";
  EXPECT_EQ(ValidateRequest(raw, Model()).error().http_status, 404);
}

TEST(ValidateRequestTest, OnlyAnEchoMayGenerateNothing) {
  CheckRows(Text(), {
                        {"echo", [](auto& r) { r.max_tokens = 0, r.echo = true; }, ""},
                        {"newer", [](auto& r) { r.max_completion_tokens = 0, r.echo = true; }, ""},
                        {"no echo", [](auto& r) { r.max_tokens = 0, r.echo = false; },
                         "invalid_value max_tokens"},
                        {"negative", [](auto& r) { r.max_tokens = -1, r.echo = true; },
                         "invalid_value max_tokens"},
                    });
}

TEST(ValidateRequestTest, NumbersAtBothEdges) {
  const std::vector<Row> rows = {
      {"max_tokens 1", [](auto& r) { r.max_tokens = 1; }, ""},
      {"max_tokens 0", [](auto& r) { r.max_tokens = 0; }, "invalid_value max_tokens"},
      {"max_tokens min", [](auto& r) { r.max_tokens = kInt64Min; }, "invalid_value max_tokens"},
      {"max_tokens max", [](auto& r) { r.max_tokens = kInt64Max; }, ""},  // the context's business
      {"max_completion_tokens 0", [](auto& r) { r.max_completion_tokens = 0; },
       "invalid_value max_completion_tokens"},
      {"both equal", [](auto& r) { r.max_tokens = r.max_completion_tokens = 5; }, ""},
      {"both different", [](auto& r) { r.max_tokens = 5, r.max_completion_tokens = 6; },
       "invalid_value max_completion_tokens"},
      {"min_tokens 0", [](auto& r) { r.min_tokens = 0; }, ""},
      {"min_tokens -1", [](auto& r) { r.min_tokens = -1; }, "invalid_value min_tokens"},
      {"min = max", [](auto& r) { r.min_tokens = r.max_tokens = 5; }, ""},
      {"min > max", [](auto& r) { r.min_tokens = 6, r.max_tokens = 5; },
       "invalid_value min_tokens"},
      {"temperature 0", [](auto& r) { r.temperature = 0; }, ""},
      {"temperature -0.0", [](auto& r) { r.temperature = -0.0; }, ""},
      {"temperature 2", [](auto& r) { r.temperature = 2; }, ""},
      {"temperature 2+", [](auto& r) { r.temperature = std::nextafter(2.0, 3.0); },
       "invalid_value temperature"},
      {"temperature <0", [](auto& r) { r.temperature = -1e-320; }, "invalid_value temperature"},
      {"temperature nan", [](auto& r) { r.temperature = kNan; }, "invalid_value temperature"},
      {"temperature inf", [](auto& r) { r.temperature = kInfinity; }, "invalid_value temperature"},
      {"top_p 0", [](auto& r) { r.top_p = 0; }, "invalid_value top_p"},
      {"top_p tiny", [](auto& r) { r.top_p = 1e-320; }, "invalid_value top_p"},  // 0 as a float
      {"top_p small", [](auto& r) { r.top_p = 1e-6; }, ""},
      {"top_p 1", [](auto& r) { r.top_p = 1; }, ""},
      {"top_p 1+", [](auto& r) { r.top_p = std::nextafter(1.0, 2.0); }, "invalid_value top_p"},
      {"top_p nan", [](auto& r) { r.top_p = kNan; }, "invalid_value top_p"},
      {"min_p 0", [](auto& r) { r.min_p = 0; }, ""},
      {"min_p 1", [](auto& r) { r.min_p = 1; }, ""},
      {"min_p 1+", [](auto& r) { r.min_p = std::nextafter(1.0, 2.0); }, "invalid_value min_p"},
      {"min_p <0", [](auto& r) { r.min_p = -1e-9; }, "invalid_value min_p"},
      {"top_k -1", [](auto& r) { r.top_k = -1; }, ""},
      {"top_k -2", [](auto& r) { r.top_k = -2; }, "invalid_value top_k"},
      {"top_k 0", [](auto& r) { r.top_k = 0; }, "invalid_value top_k"},
      {"top_k 1", [](auto& r) { r.top_k = 1; }, ""},
      {"top_k vocab", [](auto& r) { r.top_k = kFakeVocabSize; }, ""},
      {"top_k vocab+1", [](auto& r) { r.top_k = kFakeVocabSize + 1; }, "invalid_value top_k"},
      {"seed min", [](auto& r) { r.seed = kInt64Min; }, ""},
      {"seed max", [](auto& r) { r.seed = kInt64Max; }, ""},
      {"n 1", [](auto& r) { r.n = 1; }, ""},
      {"n 8", [](auto& r) { r.n = 8; }, ""},
      {"n 0", [](auto& r) { r.n = 0; }, "invalid_value n"},
      {"n 9", [](auto& r) { r.n = 9; }, "invalid_value n"},
      {"n 2^32+1", [](auto& r) { r.n = (int64_t{1} << 32) + 1; }, "invalid_value n"},
  };
  CheckRows(Chat(), rows);
  CheckRows(Text(), rows);
}

TEST(ValidateRequestTest, StopsSaltAndOutput) {
  const std::vector<Row> rows = {
      {"no stop", [](auto& r) { r.stop.emplace(); }, ""},
      {"4 stops", [](auto& r) { r.stop.emplace(4, "x"); }, ""},
      {"5 stops", [](auto& r) { r.stop.emplace(5, "x"); }, "invalid_value stop"},
      {"empty stop", [](auto& r) { r.stop.emplace(1, ""); }, "invalid_value stop"},
      {"256 bytes", [](auto& r) { r.stop.emplace(1, std::string(256, 'x')); }, ""},
      {"257 bytes", [](auto& r) { r.stop.emplace(1, std::string(257, 'x')); },
       "invalid_value stop"},
      {"64 stop ids", [](auto& r) { r.stop_token_ids.emplace(64, 1); }, ""},
      {"65 stop ids", [](auto& r) { r.stop_token_ids.emplace(65, 1); },
       "invalid_value stop_token_ids"},
      {"stop id -1", [](auto& r) { r.stop_token_ids.emplace(1, -1); },
       "invalid_value stop_token_ids"},
      {"stop id last", [](auto& r) { r.stop_token_ids.emplace(1, kFakeVocabSize - 1); }, ""},
      {"stop id vocab", [](auto& r) { r.stop_token_ids.emplace(1, kFakeVocabSize); },
       "invalid_value stop_token_ids"},
      {"salt", [](auto& r) { r.cache_salt = "s"; }, ""},
      {"salt empty", [](auto& r) { r.cache_salt = ""; }, "invalid_value cache_salt"},
      {"salt 256", [](auto& r) { r.cache_salt = std::string(256, 's'); }, ""},
      {"salt 257", [](auto& r) { r.cache_salt = std::string(257, 's'); },
       "invalid_value cache_salt"},
      {"logprobs", [](auto& r) { r.logprobs = true; }, ""},
      {"top 0", [](auto& r) { r.logprobs = true, r.top_logprobs = 0; }, ""},
      {"top 20", [](auto& r) { r.logprobs = true, r.top_logprobs = 20; }, ""},
      {"top 21", [](auto& r) { r.logprobs = true, r.top_logprobs = 21; },
       "invalid_value top_logprobs"},
      {"top -1", [](auto& r) { r.logprobs = true, r.top_logprobs = -1; },
       "invalid_value top_logprobs"},
      {"top alone", [](auto& r) { r.top_logprobs = 2; }, "invalid_value top_logprobs"},
      {"top, logprobs false", [](auto& r) { r.logprobs = false, r.top_logprobs = 2; },
       "invalid_value top_logprobs"},
      {"completions' logprobs 20", [](auto& r) { r.completion_logprobs = 20; }, ""},
      {"completions' logprobs 21", [](auto& r) { r.completion_logprobs = 21; },
       "invalid_value logprobs"},
      {"completions' logprobs -1", [](auto& r) { r.completion_logprobs = -1; },
       "invalid_value logprobs"},
      {"usage in a stream", [](auto& r) { r.stream = true, r.include_usage = true; }, ""},
  };
  CheckRows(Chat(), rows);
  CheckRows(Text(), rows);
  RawRequest raw = Chat();
  raw.include_usage = true;
  EXPECT_EQ(Verdict(raw), "invalid_value stream_options");
  raw.endpoint = Endpoint::kGenerate;  // always a stream there
  EXPECT_EQ(Verdict(raw), "");
}

TEST(ValidateRequestTest, Messages) {
  const std::vector<Row> rows = {
      {"none", [](auto& r) { r.messages.reset(); }, "missing_required_parameter messages"},
      {"empty", [](auto& r) { r.messages->clear(); }, "invalid_value messages"},
      {"1024", [](auto& r) { r.messages->assign(1024, {"user", "x"}); }, ""},
      {"1025", [](auto& r) { r.messages->assign(1025, {"user", "x"}); }, "invalid_value messages"},
      {"roles",
       [](auto& r) {
         r.messages =
             std::vector<ChatMessage>{{"system", ""}, {"assistant", ""}, {"developer", ""}};
       },
       ""},
      {"tool role", [](auto& r) { r.messages->push_back({"tool", "x"}); },
       "invalid_value messages[1].role"},
      {"2 MiB", [](auto& r) { (*r.messages)[0].content.assign(kMaxStringBytes, 'x'); }, ""},
      {"2 MiB + 1", [](auto& r) { (*r.messages)[0].content.assign(kMaxStringBytes + 1, 'x'); },
       "invalid_value messages[0].content"},
  };
  CheckRows(Chat(), rows);
  RawRequest raw = Chat();
  raw.messages = std::vector<ChatMessage>{{"developer", "d"}};
  const auto valid = ValidateRequest(raw, Model());
  EXPECT_EQ(std::get<std::vector<ChatMessage>>(valid.value()->prompt)[0].role, "system");
}

TEST(ValidateRequestTest, ExactlyOnePrompt) {
  RawRequest raw = Text();
  raw.prompt.reset();
  EXPECT_EQ(Verdict(raw), "missing_required_parameter prompt");
  raw.prompt = "";
  EXPECT_EQ(Verdict(raw), "invalid_value prompt");
  raw.prompt = std::string(kMaxStringBytes, 'x');
  EXPECT_EQ(Verdict(raw), "");
  raw.prompt->push_back('x');
  EXPECT_EQ(Verdict(raw), "invalid_value prompt");
  raw.prompt = "x";
  raw.token_ids = {1};
  EXPECT_EQ(Verdict(raw), "invalid_value token_ids");
  raw.prompt.reset();
  EXPECT_EQ(Verdict(raw), "");
  raw.token_ids = {0, kFakeVocabSize - 1};
  EXPECT_EQ(Verdict(raw), "");
  raw.token_ids = {kFakeVocabSize};
  EXPECT_EQ(Verdict(raw), "invalid_value token_ids");
  raw.token_ids = {-1};
  raw.token_ids_param = "prompt";
  EXPECT_EQ(Verdict(raw), "invalid_value prompt");
  raw.token_ids.emplace();
  EXPECT_EQ(Verdict(raw), "invalid_value prompt");
  raw = Text();
  raw.messages = std::vector<ChatMessage>{{"user", "x"}};
  EXPECT_EQ(Verdict(raw), "invalid_value messages");
  raw.endpoint = Endpoint::kGenerate;
  EXPECT_EQ(Verdict(raw), "invalid_value prompt");
  raw = Chat();
  raw.prompt = "x";
  EXPECT_EQ(Verdict(raw), "invalid_value prompt");
  raw.prompt.reset();
  raw.token_ids = {1};
  EXPECT_EQ(Verdict(raw), "invalid_value token_ids");
}

TEST(ValidateRequestTest, FieldsArriveInTheStruct) {
  RawRequest raw = Chat();
  raw.temperature = 0.009;
  raw.top_k = 7;
  raw.top_p = 0.5;
  raw.min_p = 0.25;
  raw.seed = -1;
  raw.n = 3;
  raw.logprobs = true;
  raw.top_logprobs = 4;
  raw.ignore_eos = true;
  raw.cache_salt = "salt";
  const auto valid = ValidateRequest(raw, Model());
  ASSERT_TRUE(valid.ok());
  const ValidatedRequest::Fields& fields = *valid.value();
  EXPECT_EQ(fields.sampling.temperature, 0.0f);  // below 0.01: greedy
  EXPECT_EQ(fields.sampling.top_k, 7);
  EXPECT_EQ(fields.sampling.top_p, 0.5f);
  EXPECT_EQ(fields.sampling.min_p, 0.25f);
  EXPECT_EQ(fields.sampling.seed, ~uint64_t{0});
  EXPECT_EQ(fields.sampling.num_logprobs, 4);
  EXPECT_EQ(fields.n, 3);
  EXPECT_TRUE(fields.ignore_eos);
  EXPECT_EQ(fields.cache_salt, "salt");
  raw.temperature = 0.01;
  EXPECT_EQ(ValidateRequest(raw, Model()).value()->sampling.temperature, 0.01f);
  raw.seed.reset();
  EXPECT_NE(ValidateRequest(raw, Model()).value()->sampling.seed,
            ValidateRequest(raw, Model()).value()->sampling.seed);
}

TEST(ValidateRequestTest, EditsArriveSortedAndOnce) {
  RawRequest raw = Chat();
  raw.frequency_penalty = -2.0;
  raw.presence_penalty = 0.5;
  raw.repetition_penalty = 1.25;
  raw.logit_bias = {{7, -100.0}, {3, 2.5}};
  raw.allowed_token_ids = {9, 4, 9};
  raw.include_stop_str_in_output = true;
  const auto valid = ValidateRequest(raw, Model());
  ASSERT_TRUE(valid.ok());
  const LogitEdits& edits = valid.value()->edits;
  EXPECT_EQ(edits.frequency_penalty, -2.0f);
  EXPECT_EQ(edits.presence_penalty, 0.5f);
  EXPECT_EQ(edits.repetition_penalty, 1.25f);
  EXPECT_EQ(edits.bias,
            (std::vector<std::pair<TokenId, float>>{{TokenId(3), 2.5f}, {TokenId(7), -100.0f}}));
  EXPECT_EQ(edits.allowed, (std::vector<TokenId>{TokenId(4), TokenId(9)}));
  EXPECT_TRUE(valid.value()->include_stop);
  raw.logit_bias = {{7, 1.0}, {7, 1.0}};
  EXPECT_EQ(ValidateRequest(raw, Model()).error().param, "logit_bias");
}

// What BuildGeneration makes of `raw`: max_new_tokens, or the error's code and param.
std::string Build(RawRequest raw) {
  const FakeTextCodec codec;
  const auto valid = ValidateRequest(std::move(raw), Model());
  if (!valid.ok()) return "invalid";
  const auto built = BuildGeneration(valid.value(), codec, Model(), absl::InfiniteFuture());
  return built.ok() ? std::to_string(built->max_new_tokens)
                    : built.error().code + " " + built.error().param;
}

TEST(BuildGenerationTest, PromptAndMaxTokensFitTheContextExactly) {
  RawRequest raw = Text();  // context 100
  raw.prompt = std::string(60, 'x');
  raw.max_tokens = 40;
  EXPECT_EQ(Build(raw), "40");
  raw.max_tokens = 41;
  EXPECT_EQ(Build(raw), "context_length_exceeded max_tokens");
  raw.max_tokens = kInt64Max;
  EXPECT_EQ(Build(raw), "context_length_exceeded max_tokens");
  raw.max_completion_tokens = kInt64Max;
  EXPECT_EQ(Build(raw), "context_length_exceeded max_completion_tokens");
  raw = Text();
  raw.prompt = std::string(99, 'x');
  EXPECT_EQ(Build(raw), "1");
  raw.prompt = std::string(100, 'x');
  EXPECT_EQ(Build(raw), "context_length_exceeded prompt");
}

TEST(BuildGenerationTest, DefaultsAreTheRestForAChatAnd16ForText) {
  EXPECT_EQ(Build(Text()), "16");
  EXPECT_EQ(Build(Chat()), "95");  // 100 - (user, h, i, end, assistant)
  RawRequest raw = Text();
  raw.prompt = std::string(90, 'x');
  EXPECT_EQ(Build(raw), "10");
  raw.min_tokens = 10;
  EXPECT_EQ(Build(raw), "10");
  raw.min_tokens = 11;
  EXPECT_EQ(Build(raw), "invalid_value min_tokens");
}

TEST(BuildGenerationTest, ATemplateThatRefusesNamesTheMessages) {
  RawRequest raw = Chat();
  raw.messages = std::vector<ChatMessage>{{"user", kFakeRefusedContent}};
  EXPECT_EQ(Build(raw), "invalid_value messages");
}

TEST(BuildGenerationTest, EditsAreSharedOnlyIfThereAreAny) {
  const FakeTextCodec codec;
  const auto edits_of = [&](const RawRequest& raw) {
    const auto valid = ValidateRequest(raw, Model());
    return BuildGeneration(valid.value(), codec, Model(), absl::InfiniteFuture())
        .value()
        .sampling.edits;
  };
  RawRequest raw = Text();
  raw.frequency_penalty = 0.0;
  raw.repetition_penalty = 1.0;
  raw.logit_bias.emplace();
  EXPECT_EQ(edits_of(raw), nullptr);
  raw.bad_words = {"no"};
  ASSERT_NE(edits_of(raw), nullptr);
  EXPECT_EQ(edits_of(raw)->bad_words,
            (std::vector<std::vector<TokenId>>{ByteTokens("no"), ByteTokens(" no")}));
  raw.bad_words.reset();
  raw.presence_penalty = 0.1;
  ASSERT_NE(edits_of(raw), nullptr);
  EXPECT_TRUE(edits_of(raw)->reads_history());
}

TEST(BuildGenerationTest, EndIdsAndOwnStopIdsBothStop) {
  RawRequest raw = Text();
  raw.stop_token_ids = {65};
  raw.token_ids.reset();
  const FakeTextCodec codec;
  const auto valid = ValidateRequest(raw, Model());
  const absl::Time deadline = absl::FromUnixSeconds(7);
  const auto built = BuildGeneration(valid.value(), codec, Model(), deadline);
  ASSERT_TRUE(built.ok());
  EXPECT_EQ(built->stop_token_ids, (std::vector<TokenId>{kFakeEnd, TokenId(65)}));
  EXPECT_EQ(built->prompt, ByteTokens("hi"));
  EXPECT_EQ(built->deadline, deadline);
}

}  // namespace
}  // namespace intactkv
