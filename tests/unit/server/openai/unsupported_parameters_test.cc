#include "server/openai/unsupported_parameters.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace intactkv {
namespace {

std::vector<std::string> Find(const std::string& body) {
  return FindUnsupported(boost::json::parse(body).as_object());
}

// For each parameter the values that leave the answer as it is; null always does.
struct Row {
  const char* name;
  std::vector<const char*> harmless;
  std::vector<const char*> refused;
};

const Row kRows[] = {
    {"tools", {"[]"}, {"[{}]", "true"}},
    {"tool_choice", {"\"none\"", "\"auto\""}, {"\"required\"", "{\"type\":\"function\"}", "\"\""}},
    {"functions", {"[]"}, {"[{}]"}},
    {"function_call", {"\"none\"", "\"auto\""}, {"{\"name\":\"f\"}"}},
    {"response_format",
     {R"({"type":"text"})"},
     {R"({"type":"json_object"})", R"({"type":"json_schema"})", "{}", "\"text\""}},
    {"length_penalty", {"1"}, {"0"}},
    {"best_of", {"1"}, {"2", "0"}},
    {"suffix", {"\"\""}, {"\"x\""}},
    {"audio", {}, {"{}", "false"}},
    {"modalities", {"[\"text\"]"}, {"[\"text\",\"audio\"]", "[]", "\"text\"", "[1]"}},
    {"prediction", {}, {"{}"}},
    {"web_search_options", {}, {"{}"}},
    {"prompt_logprobs", {}, {"0"}},
    {"prompt_embeds", {}, {"\"\""}},
    {"logprob_token_ids", {}, {"[1]"}},
    {"logits_processors", {"[]"}, {"[\"x\"]"}},
    {"use_beam_search", {"false"}, {"true"}},
    {"skip_special_tokens", {"true"}, {"false"}},
    {"truncate_prompt_tokens", {}, {"5"}},
    {"chat_template", {}, {"\"x\""}},
    {"chat_template_kwargs", {"{}"}, {"{\"a\":1}"}},
    {"add_generation_prompt", {"true"}, {"false"}},
    {"continue_final_message", {"false"}, {"true"}},
    {"structured_outputs", {"{}"}, {"{\"json\":{}}"}},
    {"guided_json", {}, {"{}"}},
    {"guided_regex", {}, {"\"a\""}},
    {"guided_choice", {}, {"[\"a\"]"}},
    {"guided_grammar", {}, {"\"a\""}},
    {"grammar", {"\"\""}, {"\"root ::= x\""}},
    {"json_schema", {}, {"{}"}},
    {"regex", {}, {"\"a\""}},
    {"ebnf", {}, {"\"a\""}},
    {"typical_p", {"1", "1.0"}, {"0.9"}},
    {"kv_transfer_params", {}, {"{}"}},
    {"repeat_penalty", {"1", "1.0"}, {"1.1", "true"}},
    {"min_new_tokens", {"0", "0.0"}, {"1", "false"}},
    {"max_new_tokens", {}, {"1", "\"a\""}},
    {"n_predict", {}, {"1", "\"a\""}},
    {"num_predict", {}, {"1", "\"a\""}},
    {"num_ctx", {}, {"1", "\"a\""}},
    {"mirostat", {"0", "0.0"}, {"1", "false"}},
    {"tfs_z", {"1", "1.0"}, {"1.1", "true"}},
    {"top_a", {"0", "0.0"}, {"1", "false"}},
    {"epsilon_cutoff", {"0", "0.0"}, {"1", "false"}},
    {"eta_cutoff", {"0", "0.0"}, {"1", "false"}},
    {"dynatemp_range", {"0", "0.0"}, {"1", "false"}},
    {"xtc_probability", {"0", "0.0"}, {"1", "false"}},
    {"dry_multiplier", {"0", "0.0"}, {"1", "false"}},
    {"samplers", {"[]", "{}", "\"\""}, {"[1]", "1"}},
    {"custom_logit_processor", {}, {"1", "\"a\""}},
    {"watermark", {"false"}, {"true", "0"}},
    {"stop_regex", {}, {"1", "\"a\""}},
    {"no_stop_trim", {"false"}, {"true", "0"}},
    {"truncate", {}, {"1", "\"a\""}},
    {"input_ids", {}, {"1", "\"a\""}},
    {"n_probs", {"0", "0.0"}, {"1", "false"}},
    {"reasoning_effort", {}, {"1", "\"a\""}},
    {"verbosity", {}, {"1", "\"a\""}},
    {"thinking", {}, {"1", "\"a\""}},
    {"enable_thinking", {}, {"1", "\"a\""}},
    {"thinking_token_budget", {}, {"1", "\"a\""}},
    {"documents", {"[]", "{}", "\"\""}, {"[1]", "1"}},
    {"lora", {"[]", "{}", "\"\""}, {"[1]", "1"}},
    {"adapter_id", {}, {"1", "\"a\""}},
};

TEST(UnsupportedParametersTest, HarmlessValuesAreIgnoredAndOthersNamed) {
  for (const Row& row : kRows) {
    const auto body = [&](const std::string& value) {
      return "{\"" + std::string(row.name) + "\":" + value + "}";
    };
    EXPECT_TRUE(Find(body("null")).empty()) << row.name;
    for (const char* value : row.harmless) {
      EXPECT_TRUE(Find(body(value)).empty()) << row.name << " = " << value;
    }
    for (const char* value : row.refused) {
      EXPECT_EQ(Find(body(value)), std::vector<std::string>{row.name})
          << row.name << " = " << value;
    }
  }
}

TEST(UnsupportedParametersTest, WhatIsSupportedOrUnknownIsNotItsBusiness) {
  EXPECT_TRUE(Find("{}").empty());
  EXPECT_TRUE(Find(R"({"temperature":5,"n":100,"user":"u","foo":true})").empty());
}

}  // namespace
}  // namespace intactkv
