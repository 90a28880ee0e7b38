#include "server/openai/completion_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

#include "engine/base/json_log.h"
#include "server/request/request_limits.h"
#include "server/request/utf8.h"

namespace intactkv {
namespace {

std::string_view ReasonWord(FinishReason reason) {
  return reason == FinishReason::kLength ? "length" : "stop";
}

void AppendChatEntry(std::string& out, const TextCodec& codec, TokenId token, float logprob) {
  const std::string bytes = codec.TokenBytes(token);
  out += "{\"token\":";
  AppendJsonString(out, ToValidUtf8(bytes));
  out += ",\"logprob\":";
  AppendLogprob(out, logprob);
  out += ",\"bytes\":[";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(static_cast<unsigned char>(bytes[i]));
  }
  out += ']';
}

// A token as a key of the completions' dictionaries. Bytes that are no text get OpenAI's notation,
// so that two of them stay two keys.
std::string TokenKey(const TextCodec& codec, TokenId token) {
  const std::string bytes = codec.TokenBytes(token);
  if (IsValidUtf8(bytes)) return bytes;
  std::string key = "bytes:";
  for (const char c : bytes) {
    char hex[8];
    std::snprintf(hex, sizeof(hex), "\\x%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    key += hex;
  }
  return key;
}

}  // namespace

void AppendLogprob(std::string& out, float logprob) {
  logprob = ShownLogprob(logprob);
  if (logprob == kLowestLogprob) {
    out += "-9999.0";
    return;
  }
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), logprob);
  out.append(text, end);
}

void AppendIds(std::string& out, const std::vector<TokenId>& ids) {
  out += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    out += std::to_string(ids[i].value);
  }
  out += ']';
}

void AppendUsage(std::string& out, const RequestUsage& usage) {
  out += "{\"prompt_tokens\":" + std::to_string(usage.prompt_tokens);
  out += ",\"completion_tokens\":" + std::to_string(usage.completion_tokens);
  out +=
      ",\"total_tokens\":" + std::to_string(int64_t{usage.prompt_tokens} + usage.completion_tokens);
  out += ",\"prompt_tokens_details\":{\"cached_tokens\":" + std::to_string(usage.cached_tokens);
  out += ",\"pinned_tokens\":" + std::to_string(usage.pinned_tokens) + "}}";
}

CompletionJson::CompletionJson(Identity identity, const TextCodec& codec)
    : identity_(std::move(identity)),
      codec_(codec),
      text_offset_(kMaxChoices, 0),
      prompt_ids_sent_(kMaxChoices, false) {}

std::string CompletionJson::Begin(bool chunk) const {
  std::string out = "{\"id\":";
  AppendJsonString(out, identity_.id);
  out += ",\"object\":\"";
  out += !is_chat() ? "text_completion" : chunk ? "chat.completion.chunk" : "chat.completion";
  out += "\",\"created\":" + std::to_string(identity_.created_unix_seconds) + ",\"model\":";
  AppendJsonString(out, identity_.model);
  return out;
}

void CompletionJson::AppendChunkEnd(std::string& out) const {
  out += identity_.usage_in_chunks ? "],\"usage\":null}" : "]}";
}

std::string CompletionJson::RoleChunk(int32_t choice) const {
  std::string out = Begin(true);
  if (identity_.token_ids) {
    out += ",\"prompt_token_ids\":";
    AppendIds(out, identity_.prompt);
  }
  out += ",\"choices\":[{\"index\":" + std::to_string(choice) +
         ",\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
         "\"finish_reason\":null}";
  AppendChunkEnd(out);
  return out;
}

std::string CompletionJson::DeltaChunk(const ChoiceDelta& delta) {
  const bool wants_tokens = identity_.logprobs || identity_.token_ids;
  const bool has_tokens = !delta.tokens.empty() || !delta.prompt_tokens.empty();
  if (delta.text.empty() && !(wants_tokens && has_tokens)) return "";
  std::string out = Begin(true);
  out += ",\"choices\":[{\"index\":" + std::to_string(delta.choice);
  out += is_chat() ? ",\"delta\":{\"content\":" : ",\"text\":";
  AppendJsonString(out, delta.text);
  if (is_chat()) out += '}';
  AppendLogprobs(out, delta);
  out += ",\"finish_reason\":null";
  AppendTokenIds(out, delta);
  out += '}';
  AppendChunkEnd(out);
  return out;
}

std::string CompletionJson::FinishChunk(int32_t choice, FinishReason reason) const {
  std::string out = Begin(true);
  out += ",\"choices\":[{\"index\":" + std::to_string(choice);
  out += is_chat() ? ",\"delta\":{}" : ",\"text\":\"\"";
  out += ",\"logprobs\":null,\"finish_reason\":\"";
  out += ReasonWord(reason);
  out += "\"}";
  AppendChunkEnd(out);
  return out;
}

std::string CompletionJson::UsageChunk(const RequestUsage& usage) const {
  std::string out = Begin(true) + ",\"choices\":[],\"usage\":";
  AppendUsage(out, usage);
  out += '}';
  return out;
}

std::string CompletionJson::Whole(const std::vector<ChoiceDelta>& choices,
                                  const RequestUsage& usage) {
  std::string out = Begin(false);
  if (is_chat() && identity_.token_ids) {
    out += ",\"prompt_token_ids\":";
    AppendIds(out, identity_.prompt);
  }
  out += ",\"choices\":[";
  for (const ChoiceDelta& choice : choices) {
    if (choice.choice > 0) out += ',';
    out += "{\"index\":" + std::to_string(choice.choice);
    out += is_chat() ? ",\"message\":{\"role\":\"assistant\",\"content\":" : ",\"text\":";
    AppendJsonString(out, choice.text);
    if (is_chat()) out += ",\"refusal\":null}";
    AppendLogprobs(out, choice);
    out += ",\"finish_reason\":\"";
    out += ReasonWord(choice.finish);
    out += '"';
    AppendTokenIds(out, choice);
    out += '}';
  }
  out += "],\"usage\":";
  AppendUsage(out, usage);
  out += '}';
  return out;
}

void CompletionJson::AppendTokenIds(std::string& out, const ChoiceDelta& delta) {
  if (!identity_.token_ids) return;
  std::vector<TokenId> ids;
  ids.reserve(delta.tokens.size());
  for (const SampledToken& token : delta.tokens) ids.push_back(token.token);
  out += ",\"token_ids\":";
  AppendIds(out, ids);
  const auto choice = static_cast<size_t>(delta.choice);
  if (is_chat() || prompt_ids_sent_[choice]) return;
  prompt_ids_sent_[choice] = true;
  out += ",\"prompt_token_ids\":";
  AppendIds(out, identity_.prompt);
}

void CompletionJson::AppendLogprobs(std::string& out, const ChoiceDelta& delta) {
  out += ",\"logprobs\":";
  if (!identity_.logprobs) {
    out += "null";
  } else if (is_chat()) {
    AppendChatLogprobs(out, delta.tokens);
  } else {
    AppendTextLogprobs(out, delta);
  }
}

void CompletionJson::AppendChatLogprobs(std::string& out,
                                        const std::vector<SampledToken>& tokens) const {
  out += "{\"content\":[";
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) out += ',';
    AppendChatEntry(out, codec_, tokens[i].token, tokens[i].logprob);
    out += ",\"top_logprobs\":[";
    for (size_t k = 0; k < tokens[i].top.size(); ++k) {
      if (k > 0) out += ',';
      AppendChatEntry(out, codec_, tokens[i].top[k].token, tokens[i].top[k].logprob);
      out += '}';
    }
    out += "]}";
  }
  out += "],\"refusal\":null}";
}

// The four lists, without their brackets.
struct CompletionJson::TextLogprobs {
  std::string names, values, tops, offsets;
};

void CompletionJson::AddTextLogprob(const SampledToken& token, bool known, int64_t& offset,
                                    TextLogprobs& lists) const {
  if (!lists.names.empty()) {
    for (std::string* list : {&lists.names, &lists.values, &lists.tops, &lists.offsets}) {
      *list += ',';
    }
  }
  AppendJsonString(lists.names, TokenKey(codec_, token.token));
  lists.offsets += std::to_string(std::max<int64_t>(offset, 0));
  if (!codec_.IsSpecial(token.token)) {
    offset += static_cast<int64_t>(CountCharacters(codec_.TokenBytes(token.token)));
  }
  if (!known) {
    lists.values += "null";
    lists.tops += "null";
    return;
  }
  AppendLogprob(lists.values, token.logprob);
  std::vector<TokenLogprob> tops = token.top;
  const bool token_is_there = std::any_of(
      tops.begin(), tops.end(), [&](const TokenLogprob& top) { return top.token == token.token; });
  if (!token_is_there) tops.push_back({token.token, token.logprob});
  lists.tops += '{';
  for (const TokenLogprob& top : tops) {
    if (lists.tops.back() != '{') lists.tops += ',';
    AppendJsonString(lists.tops, TokenKey(codec_, top.token));
    lists.tops += ':';
    AppendLogprob(lists.tops, top.logprob);
  }
  lists.tops += '}';
}

void CompletionJson::AppendTextLogprobs(std::string& out, const ChoiceDelta& delta) {
  TextLogprobs lists;
  int64_t& offset = text_offset_[static_cast<size_t>(delta.choice)];
  offset -= delta.prompt_hidden;
  bool known = !delta.prompt_begins;
  for (const SampledToken& token : delta.prompt_tokens) {
    AddTextLogprob(token, known, offset, lists);
    known = true;
  }
  for (const SampledToken& token : delta.tokens) AddTextLogprob(token, true, offset, lists);
  out += "{\"tokens\":[" + lists.names + "],\"token_logprobs\":[" + lists.values +
         "],\"top_logprobs\":[" + lists.tops + "],\"text_offset\":[" + lists.offsets + "]}";
}

}  // namespace intactkv
