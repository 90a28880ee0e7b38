#include "server/request/field_checks.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "server/request/request_limits.h"

namespace intactkv {

RequestOr<std::vector<TokenId>> ToTokenIds(std::string_view param, const std::vector<int64_t>& ids,
                                           const ServedModel& model) {
  std::vector<TokenId> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    if (id < 0 || id >= model.vocab_size) {
      return InvalidValue(param,
                          "must hold token ids from 0 to " + Text(model.vocab_size - 1) + ".");
    }
    tokens.emplace_back(static_cast<int32_t>(id));
  }
  return tokens;
}

Fault CheckStrings(std::string_view param, const std::vector<std::string>& strings,
                   size_t max_bytes) {
  for (const std::string& text : strings) {
    if (text.empty() || text.size() > max_bytes) {
      return InvalidValue(param, "must hold strings of 1 to " + Text(max_bytes) + " bytes.");
    }
  }
  return std::nullopt;
}

namespace {

Fault TakePenalties(const RawRequest& raw, LogitEdits& out) {
  if (Fault f = CheckRange("frequency_penalty", raw.frequency_penalty, -kMaxPenalty, kMaxPenalty)) {
    return f;
  }
  if (Fault f = CheckRange("presence_penalty", raw.presence_penalty, -kMaxPenalty, kMaxPenalty)) {
    return f;
  }
  const double repetition = raw.repetition_penalty.value_or(1.0);
  out.frequency_penalty = static_cast<float>(raw.frequency_penalty.value_or(0.0));
  out.presence_penalty = static_cast<float>(raw.presence_penalty.value_or(0.0));
  out.repetition_penalty = static_cast<float>(repetition);
  if (!(repetition <= kMaxPenalty) || !(out.repetition_penalty > 0.0f)) {
    return InvalidValue("repetition_penalty",
                        "must be above 0 and at most " + Text(kMaxPenalty) + ".");
  }
  return std::nullopt;
}

Fault TakeBias(std::vector<std::pair<int64_t, double>> biases, const ServedModel& model,
               LogitEdits& out) {
  if (biases.size() > kMaxLogitBiases) {
    return InvalidValue("logit_bias", "must have at most " + Text(kMaxLogitBiases) + " ids.");
  }
  std::sort(biases.begin(), biases.end());
  for (const auto& [id, bias] : biases) {
    if (id < 0 || id >= model.vocab_size) {
      return InvalidValue("logit_bias",
                          "must name token ids from 0 to " + Text(model.vocab_size - 1) + ".");
    }
    if (!(bias >= -kMaxLogitBias && bias <= kMaxLogitBias)) {
      return InvalidValue("logit_bias", "must be between " + Text(-kMaxLogitBias) + " and " +
                                            Text(kMaxLogitBias) + ".");
    }
    const TokenId token(static_cast<int32_t>(id));
    if (!out.bias.empty() && out.bias.back().first == token) {  // "7" and "07"
      return InvalidValue("logit_bias", "names token " + Text(id) + " twice.");
    }
    out.bias.emplace_back(token, static_cast<float>(bias));
  }
  return std::nullopt;
}

Fault TakeAllowed(const std::vector<int64_t>& ids, const ServedModel& model, LogitEdits& out) {
  if (ids.empty() || ids.size() > kMaxAllowedTokenIds) {
    return InvalidValue("allowed_token_ids",
                        "must have 1 to " + Text(kMaxAllowedTokenIds) + " ids.");
  }
  RequestOr<std::vector<TokenId>> tokens = ToTokenIds("allowed_token_ids", ids, model);
  if (!tokens.ok()) return tokens.error();
  out.allowed = std::move(tokens).value();
  const auto value_of = [](TokenId id) { return id.value; };
  std::ranges::sort(out.allowed, {}, value_of);
  const auto repeated = std::ranges::unique(out.allowed);
  out.allowed.erase(repeated.begin(), repeated.end());
  return std::nullopt;
}

}  // namespace

Fault TakeEdits(RawRequest& raw, const ServedModel& model, ValidatedRequest::Fields& out) {
  if (Fault f = TakePenalties(raw, out.edits)) return f;
  if (raw.logit_bias.has_value()) {
    if (Fault f = TakeBias(std::move(*raw.logit_bias), model, out.edits)) return f;
  }
  if (raw.allowed_token_ids.has_value()) {
    if (Fault f = TakeAllowed(*raw.allowed_token_ids, model, out.edits)) return f;
  }
  if (!raw.bad_words.has_value()) return std::nullopt;
  if (raw.bad_words->size() > kMaxBadWords) {
    return InvalidValue("bad_words", "must have at most " + Text(kMaxBadWords) + " strings.");
  }
  if (Fault f = CheckStrings("bad_words", *raw.bad_words, kMaxBadWordBytes)) return f;
  out.bad_words = std::move(*raw.bad_words);
  return std::nullopt;
}

}  // namespace intactkv
