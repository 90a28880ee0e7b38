#include "engine/text/tokenizer_json_rules.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>
#include <vector>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"

namespace intactkv {

namespace {

namespace json = boost::json;

constexpr std::string_view kSpace = "\u2581";
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// A step of a pipeline: an object with a "type".
struct Step {
  std::string type;
  JsonFields fields;
};

absl::StatusOr<Step> ToStep(JsonFields fields) {
  ASSIGN_OR_RETURN(std::string type, fields.GetString("type"));
  return Step{.type = std::move(type), .fields = std::move(fields)};
}

// The steps of document[key]: none if it is null, those inside if it is a Sequence, else itself.
absl::StatusOr<std::vector<Step>> ReadSteps(const JsonDocument& document, std::string_view key,
                                            std::string_view list_key) {
  std::vector<Step> steps;
  if (!document.Has(key)) return steps;
  ASSIGN_OR_RETURN(JsonFields top, document.GetObject(key));
  ASSIGN_OR_RETURN(Step step, ToStep(top));
  if (step.type != "Sequence") {
    steps.push_back(std::move(step));
    return steps;
  }
  const json::value* list = top.Find(list_key);
  if (list == nullptr || !list->is_array()) return top.Error(list_key, "is not an array");
  for (const json::value& item : list->get_array()) {
    if (!item.is_object()) return top.Error(list_key, "holds something that is no object");
    const std::string prefix =
        std::string(key) + "." + std::string(list_key) + "[" + std::to_string(steps.size()) + "].";
    ASSIGN_OR_RETURN(Step inner, ToStep(document.At(item.get_object(), prefix)));
    steps.push_back(std::move(inner));
  }
  return steps;
}

absl::Status NotBuiltIn(const JsonDocument& document, std::string_view key,
                        const std::vector<Step>& steps, std::string_view why = "") {
  std::string types;
  for (const Step& step : steps) types += (types.empty() ? "" : ", ") + Printable(step.type);
  types = types.empty() ? "null" : "[" + types + "]";
  return Unimplemented(document.Where(key) + ": " + types + " is not built in" +
                       (why.empty() ? "" : ": " + std::string(why)));
}

bool FlagOr(const JsonFields& fields, std::string_view key, bool fallback) {
  const json::value* value = fields.Find(key);
  return value != nullptr && value->is_bool() ? value->get_bool() : fallback;
}

std::string TextOr(const JsonFields& fields, std::string_view key) {
  const json::value* value = fields.Find(key);
  if (value == nullptr || !value->is_string()) return "";
  return {value->get_string().data(), value->get_string().size()};
}

bool HasTypes(const std::vector<Step>& steps, std::initializer_list<std::string_view> types) {
  return std::equal(steps.begin(), steps.end(), types.begin(), types.end(),
                    [](const Step& step, std::string_view type) { return step.type == type; });
}

// What `pattern` of a Split or Replace is: {"String": text} or {"Regex": text}; "" otherwise.
std::string PatternOf(const Step& step, std::string_view kind) {
  const json::value* pattern = step.fields.Find("pattern");
  if (pattern == nullptr || !pattern->is_object()) return "";
  const json::value* text = pattern->get_object().if_contains({kind.data(), kind.size()});
  if (text == nullptr || !text->is_string()) return "";
  return {text->get_string().data(), text->get_string().size()};
}

bool Replaces(const Step& step, std::string_view from, std::string_view to) {
  return step.type == "Replace" && PatternOf(step, "String") == from &&
         TextOr(step.fields, "content") == to;
}

// The family's name of a Split in front of ByteLevel, or "".
std::string SplitName(const Step& split) {
  if (TextOr(split.fields, "behavior") != "Isolated" || FlagOr(split.fields, "invert", false)) {
    return "";
  }
  const std::string pattern = PatternOf(split, "Regex");
  return pattern == kLlama3Pattern ? "llama-bpe" : pattern == kQwen2Pattern ? "qwen2" : "";
}

absl::Status ReadByteLevel(const JsonDocument& document, const std::vector<Step>& steps,
                           TokenizerData& data) {
  const Step& level = steps.back();
  const bool use_regex = FlagOr(level.fields, "use_regex", true);
  if (FlagOr(level.fields, "add_prefix_space", true)) {
    return NotBuiltIn(document, "pre_tokenizer", steps, "add_prefix_space");
  }
  if (HasTypes(steps, {"ByteLevel"}) && use_regex) {
    data.pre = "gpt-2";
  } else if (HasTypes(steps, {"Digits", "ByteLevel"}) && use_regex &&
             FlagOr(steps[0].fields, "individual_digits", false)) {
    data.pre = "smollm";
  } else if (HasTypes(steps, {"Split", "ByteLevel"}) && !use_regex) {
    data.pre = SplitName(steps[0]);
    if (data.pre.empty()) {
      return NotBuiltIn(document, "pre_tokenizer", steps,
                        "pattern " + Printable(PatternOf(steps[0], "Regex")));
    }
  } else {
    return NotBuiltIn(document, "pre_tokenizer", steps);
  }
  data.model = "gpt2";
  ASSIGN_OR_RETURN(const std::vector<Step> normalizer,
                   ReadSteps(document, "normalizer", "normalizers"));
  if (!normalizer.empty() && !HasTypes(normalizer, {"NFC"})) {
    return NotBuiltIn(document, "normalizer", normalizer);
  }
  data.nfc = !normalizer.empty();
  ASSIGN_OR_RETURN(const std::vector<Step> decoder, ReadSteps(document, "decoder", "decoders"));
  if (!HasTypes(decoder, {"ByteLevel"})) return NotBuiltIn(document, "decoder", decoder);
  return absl::OkStatus();
}

absl::StatusOr<SpacePrefix> PrefixScheme(const JsonDocument& document, const Step& step) {
  const std::string scheme = TextOr(step.fields, "prepend_scheme");
  const bool add = FlagOr(step.fields, "add_prefix_space", true);
  if (scheme == "never" || !add) return SpacePrefix::kNever;
  if (scheme == "first") return SpacePrefix::kFirst;
  if (scheme == "always" || scheme.empty()) return SpacePrefix::kAlways;
  return document.Error("pre_tokenizer.prepend_scheme", "is '" + Printable(scheme) + "'");
}

// Spaces become U+2581 in the normalizer (Llama-2) or in the pre-tokenizer (Mistral v0.3).
absl::StatusOr<SpaceRule> ReadSpaces(const JsonDocument& document,
                                     const std::vector<Step>& pre_tokenizer) {
  ASSIGN_OR_RETURN(const std::vector<Step> normalizer,
                   ReadSteps(document, "normalizer", "normalizers"));
  if (HasTypes(pre_tokenizer, {"Metaspace"})) {
    const Step& step = pre_tokenizer[0];
    if (!normalizer.empty())
      return NotBuiltIn(document, "normalizer", normalizer, "with Metaspace");
    if (TextOr(step.fields, "replacement") != kSpace) {
      return NotBuiltIn(document, "pre_tokenizer", pre_tokenizer, "replacement");
    }
    ASSIGN_OR_RETURN(const SpacePrefix prefix, PrefixScheme(document, step));
    return SpaceRule{
        .prefix = prefix, .metaspace = true, .split = FlagOr(step.fields, "split", true)};
  }
  if (!pre_tokenizer.empty()) return NotBuiltIn(document, "pre_tokenizer", pre_tokenizer);
  const bool prefix = HasTypes(normalizer, {"Prepend", "Replace"}) &&
                      TextOr(normalizer[0].fields, "prepend") == kSpace;
  const bool spaces = !normalizer.empty() && Replaces(normalizer.back(), " ", kSpace);
  if (!spaces || normalizer.size() != (prefix ? 2u : 1u)) {
    return NotBuiltIn(document, "normalizer", normalizer);
  }
  return SpaceRule{.prefix = prefix ? SpacePrefix::kAlways : SpacePrefix::kNever};
}

// Whether the decoder takes one leading space away.
absl::StatusOr<bool> DecoderStrips(const JsonDocument& document) {
  ASSIGN_OR_RETURN(const std::vector<Step> steps, ReadSteps(document, "decoder", "decoders"));
  if (HasTypes(steps, {"Metaspace"})) {
    ASSIGN_OR_RETURN(const SpacePrefix prefix, PrefixScheme(document, steps[0]));
    return prefix != SpacePrefix::kNever;
  }
  const bool strips = HasTypes(steps, {"Replace", "ByteFallback", "Fuse", "Strip"});
  if ((!strips && !HasTypes(steps, {"Replace", "ByteFallback", "Fuse"})) ||
      !Replaces(steps[0], kSpace, " ")) {
    return NotBuiltIn(document, "decoder", steps);
  }
  if (!strips) return false;
  const JsonFields& strip = steps[3].fields;
  ASSIGN_OR_RETURN(const int64_t start, strip.GetInt("start", 0, 1));
  RETURN_IF_ERROR(strip.GetInt("stop", 0, 0).status());
  if (TextOr(strip, "content") != " ") return NotBuiltIn(document, "decoder", steps, "content");
  return start == 1;
}

// The id of a post-processor's special token.
absl::StatusOr<int> IdOfName(const TokenizerData& data, const JsonDocument& document,
                             const std::string& name) {
  const auto it = std::find(data.tokens.begin(), data.tokens.end(), name);
  if (it == data.tokens.end()) {
    return document.Error("post_processor", "needs unknown token " + Printable(name));
  }
  return static_cast<int>(it - data.tokens.begin());
}

// The names in front of and behind the text in a TemplateProcessing's "single".
struct Frame {
  std::vector<std::string> before, after;
};

absl::StatusOr<Frame> ReadFrame(const JsonDocument& document, const Step& step) {
  const absl::Status damaged = document.Error("post_processor.single", "is damaged");
  const json::value* single = step.fields.Find("single");
  if (single == nullptr || !single->is_array()) return damaged;
  Frame frame;
  bool behind = false;
  for (const json::value& item : single->get_array()) {
    if (!item.is_object()) return damaged;
    const JsonFields fields = document.At(item.get_object(), "post_processor.single[].");
    if (fields.Has("Sequence")) {
      if (behind) return damaged;
      behind = true;
      continue;
    }
    ASSIGN_OR_RETURN(const JsonFields special, fields.GetObject("SpecialToken"));
    ASSIGN_OR_RETURN(std::string name, special.GetString("id"));
    (behind ? frame.after : frame.before).push_back(std::move(name));
  }
  if (!behind) return damaged;
  return frame;
}

absl::Status TakeFrame(const JsonDocument& document, const std::vector<std::string>& names,
                       TokenizerData& data, int& id, std::optional<bool>& add) {
  add = !names.empty();
  if (names.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const int named, IdOfName(data, document, names[0]));
  if (names.size() > 1 || (id >= 0 && id != named)) {
    return Unimplemented(document.Where("post_processor") +
                         ": adds more than the begin and the end token: " + Printable(names[0]));
  }
  id = named;
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadTextRules(const JsonDocument& document, TokenizerData& data) {
  ASSIGN_OR_RETURN(const std::vector<Step> pre_tokenizer,
                   ReadSteps(document, "pre_tokenizer", "pretokenizers"));
  if (!pre_tokenizer.empty() && pre_tokenizer.back().type == "ByteLevel") {
    return ReadByteLevel(document, pre_tokenizer, data);
  }
  data.model = "llama";
  data.nfc = false;
  ASSIGN_OR_RETURN(SpaceRule rule, ReadSpaces(document, pre_tokenizer));
  ASSIGN_OR_RETURN(rule.decode_strips, DecoderStrips(document));
  data.space = rule;
  return absl::OkStatus();
}

absl::Status ReadPostProcessor(const JsonDocument& document, TokenizerData& data) {
  ASSIGN_OR_RETURN(const std::vector<Step> steps,
                   ReadSteps(document, "post_processor", "processors"));
  Frame frame;
  for (const Step& step : steps) {
    if (step.type == "TemplateProcessing") {
      ASSIGN_OR_RETURN(frame, ReadFrame(document, step));
    } else if (step.type != "ByteLevel") {
      return NotBuiltIn(document, "post_processor", steps);
    }
  }
  RETURN_IF_ERROR(TakeFrame(document, frame.before, data, data.bos_id, data.add_bos));
  return TakeFrame(document, frame.after, data, data.eos_id, data.add_eos);
}

}  // namespace intactkv
