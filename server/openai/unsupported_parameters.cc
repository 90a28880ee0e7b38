#include "server/openai/unsupported_parameters.h"

#include <boost/json/value.hpp>
#include <cstdint>
#include <string_view>

namespace intactkv {
namespace {

namespace json = boost::json;

// Which value leaves the answer as it is; null always does.
enum class Harmless : uint8_t {
  kNever,
  kEmpty,  // [], {} or ""
  kFalse,
  kTrue,
  kZero,
  kOne,
  kTextFormat,  // {"type":"text"}
  kNoToolWord,  // "none" or "auto": without tools both mean none
  kTextOnly,    // ["text"]
};

struct Row {
  const char* name;
  Harmless harmless;
};

constexpr Row kRows[] = {
    {"tools", Harmless::kEmpty},
    {"tool_choice", Harmless::kNoToolWord},
    {"functions", Harmless::kEmpty},
    {"function_call", Harmless::kNoToolWord},
    {"response_format", Harmless::kTextFormat},
    {"length_penalty", Harmless::kOne},
    {"best_of", Harmless::kOne},
    {"suffix", Harmless::kEmpty},
    {"audio", Harmless::kNever},
    {"modalities", Harmless::kTextOnly},
    {"prediction", Harmless::kNever},
    {"web_search_options", Harmless::kNever},
    {"prompt_logprobs", Harmless::kNever},
    {"prompt_embeds", Harmless::kNever},
    {"logprob_token_ids", Harmless::kNever},
    {"logits_processors", Harmless::kEmpty},
    {"use_beam_search", Harmless::kFalse},
    {"skip_special_tokens", Harmless::kTrue},
    {"truncate_prompt_tokens", Harmless::kNever},
    {"chat_template", Harmless::kNever},
    {"chat_template_kwargs", Harmless::kEmpty},
    {"add_generation_prompt", Harmless::kTrue},
    {"continue_final_message", Harmless::kFalse},
    {"structured_outputs", Harmless::kEmpty},
    {"guided_json", Harmless::kNever},
    {"guided_regex", Harmless::kNever},
    {"guided_choice", Harmless::kNever},
    {"guided_grammar", Harmless::kNever},
    {"grammar", Harmless::kEmpty},
    {"json_schema", Harmless::kNever},
    {"regex", Harmless::kNever},
    {"ebnf", Harmless::kNever},
    {"typical_p", Harmless::kOne},
    {"kv_transfer_params", Harmless::kNever},
    // The same wishes under the names of other servers and libraries.
    {"repeat_penalty", Harmless::kOne},
    {"min_new_tokens", Harmless::kZero},
    {"max_new_tokens", Harmless::kNever},
    {"n_predict", Harmless::kNever},
    {"num_predict", Harmless::kNever},
    {"num_ctx", Harmless::kNever},
    {"mirostat", Harmless::kZero},
    {"tfs_z", Harmless::kOne},
    {"top_a", Harmless::kZero},
    {"epsilon_cutoff", Harmless::kZero},
    {"eta_cutoff", Harmless::kZero},
    {"dynatemp_range", Harmless::kZero},
    {"xtc_probability", Harmless::kZero},
    {"dry_multiplier", Harmless::kZero},
    {"samplers", Harmless::kEmpty},
    {"custom_logit_processor", Harmless::kNever},
    {"watermark", Harmless::kFalse},
    {"stop_regex", Harmless::kNever},
    {"no_stop_trim", Harmless::kFalse},
    {"truncate", Harmless::kNever},
    {"input_ids", Harmless::kNever},
    {"n_probs", Harmless::kZero},
    {"reasoning_effort", Harmless::kNever},
    {"verbosity", Harmless::kNever},
    {"thinking", Harmless::kNever},
    {"enable_thinking", Harmless::kNever},
    {"thinking_token_budget", Harmless::kNever},
    {"documents", Harmless::kEmpty},
    {"lora", Harmless::kEmpty},
    {"adapter_id", Harmless::kNever},
};

bool IsNumber(const json::value& value, int wanted) {
  if (value.is_int64()) return value.get_int64() == wanted;
  return value.is_double() && value.get_double() == wanted;
}

bool IsHarmless(const json::value& value, Harmless harmless) {
  switch (harmless) {
    case Harmless::kNever:
      return false;
    case Harmless::kEmpty:
      return (value.is_array() && value.get_array().empty()) ||
             (value.is_object() && value.get_object().empty()) ||
             (value.is_string() && value.get_string().empty());
    case Harmless::kFalse:
      return value.is_bool() && !value.get_bool();
    case Harmless::kTrue:
      return value.is_bool() && value.get_bool();
    case Harmless::kZero:
      return IsNumber(value, 0);
    case Harmless::kOne:
      return IsNumber(value, 1);
    case Harmless::kTextFormat: {
      const json::object* format = value.if_object();
      const json::value* type = format == nullptr ? nullptr : format->if_contains("type");
      return type != nullptr && type->is_string() && type->get_string() == "text";
    }
    case Harmless::kNoToolWord:
      return value.is_string() && (value.get_string() == "none" || value.get_string() == "auto");
    case Harmless::kTextOnly: {
      const json::array* list = value.if_array();
      return list != nullptr && list->size() == 1 && list->front().is_string() &&
             list->front().get_string() == "text";
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> FindUnsupported(const json::object& body) {
  std::vector<std::string> names;
  for (const Row& row : kRows) {
    const json::value* value = body.if_contains(row.name);
    if (value == nullptr || value->is_null() || IsHarmless(*value, row.harmless)) continue;
    names.emplace_back(row.name);
  }
  return names;
}

}  // namespace intactkv
