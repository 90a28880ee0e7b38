#include "engine/text/tokenizer_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/text/byte_token.h"
#include "engine/text/tokenizer_json_rules.h"

namespace intactkv {

namespace {

namespace json = boost::json;

// A vocabulary of 10^6 tokens, each in the vocabulary and in the merges.
constexpr JsonLimits kLimits = {
    .max_depth = 32, .max_keys = size_t{4} << 20, .max_expanded_bytes = size_t{1} << 30};
constexpr size_t kMaxTokens = size_t{1} << 21;

std::string ToString(const json::string& text) { return {text.data(), text.size()}; }

// The fields of an added token; all but id and content are optional.
struct Added {
  AddedTokenRule rule;
  std::string content;
  bool special = false;
};

absl::StatusOr<bool> BoolOr(const JsonFields& fields, std::string_view key, bool fallback) {
  if (!fields.Has(key)) return fallback;
  return fields.GetBool(key);
}

absl::StatusOr<Added> ReadAdded(const JsonFields& fields) {
  Added out;
  ASSIGN_OR_RETURN(const int64_t id, fields.GetInt("id", 0, kMaxTokens - 1));
  out.rule.id = static_cast<int32_t>(id);
  ASSIGN_OR_RETURN(out.content, fields.GetString("content"));
  ASSIGN_OR_RETURN(out.rule.lstrip, BoolOr(fields, "lstrip", false));
  ASSIGN_OR_RETURN(out.rule.rstrip, BoolOr(fields, "rstrip", false));
  ASSIGN_OR_RETURN(out.rule.single_word, BoolOr(fields, "single_word", false));
  ASSIGN_OR_RETURN(out.special, BoolOr(fields, "special", false));
  ASSIGN_OR_RETURN(out.rule.normalized, BoolOr(fields, "normalized", !out.special));
  // A special token's name is always looked for as it stands.
  out.rule.normalized = out.rule.normalized && !out.special;
  return out;
}

class TokenizerReader {
 public:
  explicit TokenizerReader(const JsonDocument& document) : document_(document) {}

  absl::StatusOr<TokenizerData> Read() {
    RETURN_IF_ERROR(CheckVersion());
    ASSIGN_OR_RETURN(const JsonFields model, document_.GetObject("model"));
    RETURN_IF_ERROR(CheckType(model));
    RETURN_IF_ERROR(ReadTextRules(document_, data_));
    RETURN_IF_ERROR(CheckModel(model));
    RETURN_IF_ERROR(ReadVocabulary(model));
    RETURN_IF_ERROR(ReadMerges(model));
    RETURN_IF_ERROR(ReadAddedTokens());
    RETURN_IF_ERROR(FillHoles());
    if (model.Has("unk_token")) {
      ASSIGN_OR_RETURN(const std::string name, model.GetString("unk_token"));
      const auto it = std::find(data_.tokens.begin(), data_.tokens.end(), name);
      if (it == data_.tokens.end()) return model.Error("unk_token", "is no token");
      data_.unk_id = static_cast<int>(it - data_.tokens.begin());
    }
    return std::move(data_);
  }

 private:
  // The `tokenizers` package knows one version, too.
  absl::Status CheckVersion() {
    if (!document_.Has("version")) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::string version, document_.GetString("version"));
    if (version == "1.0") return absl::OkStatus();
    return Unimplemented(document_.Where("version") + ": '" + Printable(version) +
                         "' is not known; only 1.0 is");
  }

  static absl::Status CheckType(const JsonFields& model) {
    if (!model.Has("type")) return absl::OkStatus();  // files older than the field are BPE
    ASSIGN_OR_RETURN(const std::string type, model.GetString("type"));
    if (type == "BPE") return absl::OkStatus();
    return Unimplemented(model.Where("type") + ": '" + Printable(type) +
                         "' is not built in; only BPE is");
  }

  // What the fields of a BPE model may say.
  absl::Status CheckModel(const JsonFields& model) {
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!model.Has(key)) continue;
      ASSIGN_OR_RETURN(const std::string affix, model.GetString(key));
      if (!affix.empty()) return Unimplemented(model.Where(key) + ": is not built in");
    }
    if (model.Has("dropout")) {
      RETURN_IF_ERROR(model.GetFloat("dropout", -1e-9, 1e-9).status());
    }
    ASSIGN_OR_RETURN(byte_fallback_, BoolOr(model, "byte_fallback", false));
    ASSIGN_OR_RETURN(data_.fuse_unknown, BoolOr(model, "fuse_unk", false));
    ASSIGN_OR_RETURN(data_.ignore_merges, BoolOr(model, "ignore_merges", false));
    if (*data_.ignore_merges && data_.model == "llama") {
      return Unimplemented(model.Where("ignore_merges") + ": is built in for ByteLevel only");
    }
    return absl::OkStatus();
  }

  absl::Status Place(const JsonFields& where, size_t id, const std::string& token, TokenType type) {
    if (token.empty()) return where.Error("vocab", "holds an empty token");
    if (id >= data_.tokens.size()) {
      data_.tokens.resize(id + 1);
      data_.token_types.resize(id + 1, static_cast<int32_t>(TokenType::kUnused));
    }
    if (!data_.tokens[id].empty() && data_.tokens[id] != token) {
      return InvalidArgument(where.Where("vocab") + ": id " + std::to_string(id) + " is both " +
                             Printable(data_.tokens[id]) + " and " + Printable(token));
    }
    data_.tokens[id] = token;
    data_.token_types[id] = static_cast<int32_t>(type);
    return absl::OkStatus();
  }

  absl::Status ReadVocabulary(const JsonFields& model) {
    ASSIGN_OR_RETURN(const JsonFields vocab, model.GetObject("vocab"));
    for (const auto& entry : model.Find("vocab")->get_object()) {
      const std::string token(entry.key().data(), entry.key().size());
      const int64_t* id = entry.value().if_int64();
      if (id == nullptr || *id < 0 || static_cast<size_t>(*id) >= kMaxTokens) {
        return vocab.Error(token, "is no token id");
      }
      const bool is_byte = byte_fallback_ && ByteOfToken(token).has_value();
      RETURN_IF_ERROR(Place(model, static_cast<size_t>(*id), token,
                            is_byte ? TokenType::kByte : TokenType::kNormal));
    }
    return absl::OkStatus();
  }

  // Each "left right" or, in newer files, ["left", "right"].
  absl::Status ReadMerges(const JsonFields& model) {
    const json::value* merges = model.Find("merges");
    if (merges == nullptr || !merges->is_array()) return model.Error("merges", "is not an array");
    for (const json::value& merge : merges->get_array()) {
      if (merge.is_string()) {
        data_.merges.push_back(ToString(merge.get_string()));
        continue;
      }
      const json::array* pair = merge.if_array();
      if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() ||
          !(*pair)[1].is_string()) {
        return model.Error("merges", "holds something that is no pair");
      }
      // A space inside a part makes this no "left right", and so an error of its own.
      data_.merges.push_back(ToString((*pair)[0].get_string()) + " " +
                             ToString((*pair)[1].get_string()));
    }
    return absl::OkStatus();
  }

  absl::Status ReadAddedTokens() {
    const json::value* list = document_.Find("added_tokens");
    if (list == nullptr) return absl::OkStatus();
    if (!list->is_array()) return document_.Error("added_tokens", "is not an array");
    for (const json::value& item : list->get_array()) {
      if (!item.is_object()) return document_.Error("added_tokens", "holds no object");
      const JsonFields fields = document_.At(item.get_object(), "added_tokens[].");
      ASSIGN_OR_RETURN(const Added added, ReadAdded(fields));
      RETURN_IF_ERROR(Place(fields, static_cast<size_t>(added.rule.id), added.content,
                            added.special ? TokenType::kControl : TokenType::kUserDefined));
      const AddedTokenRule& rule = added.rule;
      if (rule.lstrip || rule.rstrip || rule.single_word || rule.normalized) {
        data_.added.push_back(rule);
      }
    }
    return absl::OkStatus();
  }

  // Ids that no token has get a name that no text makes.
  absl::Status FillHoles() {
    size_t holes = 0;
    for (size_t i = 0; i < data_.tokens.size(); ++i) {
      if (!data_.tokens[i].empty()) continue;
      data_.tokens[i] = "[unused" + std::to_string(i) + "]";
      ++holes;
    }
    if (holes * 2 <= data_.tokens.size()) return absl::OkStatus();
    return document_.Error("model", "has more ids without a token than tokens");
  }

  const JsonDocument& document_;
  TokenizerData data_;
  bool byte_fallback_ = false;
};

// tokenizer_config.json's bos_token: a name, or an added token with one.
absl::StatusOr<std::string> TokenName(const JsonFields& config, std::string_view key) {
  const json::value* value = config.Find(key);
  if (value == nullptr) return "";
  if (value->is_string()) return config.GetString(key);
  ASSIGN_OR_RETURN(const JsonFields token, config.GetObject(key));
  return token.GetString("content");
}

absl::Status ReadTokenId(const JsonFields& config, std::string_view key, const TokenizerData& data,
                         int& id) {
  ASSIGN_OR_RETURN(const std::string name, TokenName(config, key));
  if (name.empty()) return absl::OkStatus();
  const auto it = std::find(data.tokens.begin(), data.tokens.end(), name);
  if (it == data.tokens.end()) return config.Error(key, "is not in the vocabulary");
  id = static_cast<int>(it - data.tokens.begin());
  return absl::OkStatus();
}

// One template, or several with names: "default" is meant.
absl::Status ReadChatTemplate(const JsonFields& config, TokenizerData& data) {
  const json::value* value = config.Find("chat_template");
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_array()) {
    ASSIGN_OR_RETURN(data.chat_template, config.GetString("chat_template"));
    return absl::OkStatus();
  }
  for (const json::value& item : value->get_array()) {
    const json::object* entry = item.if_object();
    const json::value* name = entry == nullptr ? nullptr : entry->if_contains("name");
    const json::value* text = entry == nullptr ? nullptr : entry->if_contains("template");
    if (name == nullptr || !name->is_string() || text == nullptr || !text->is_string()) {
      return config.Error("chat_template", "holds something without name and template");
    }
    if (name->get_string() == "default") data.chat_template = ToString(text->get_string());
  }
  if (!data.chat_template.empty()) return absl::OkStatus();
  return config.Error("chat_template", "has no template of the name 'default'");
}

absl::Status ReadConfig(const JsonDocument& config, TokenizerData& data) {
  RETURN_IF_ERROR(ReadTokenId(config, "bos_token", data, data.bos_id));
  RETURN_IF_ERROR(ReadTokenId(config, "eos_token", data, data.eos_id));
  return ReadChatTemplate(config, data);
}

// What the config says about the frame is said after the post-processor, and wins.
absl::Status ReadFrameFlags(const JsonDocument& config, TokenizerData& data) {
  if (config.Has("add_bos_token")) {
    ASSIGN_OR_RETURN(data.add_bos, config.GetBool("add_bos_token"));
  }
  if (config.Has("add_eos_token")) {
    ASSIGN_OR_RETURN(data.add_eos, config.GetBool("add_eos_token"));
  }
  return absl::OkStatus();
}

absl::Status TakeEndIds(const std::vector<int64_t>& ids, TokenizerData& data) {
  for (const int64_t id : ids) {
    if (id < 0 || id >= std::ssize(data.tokens)) {
      return InvalidArgument("eos_token_id " + std::to_string(id) + " is outside the " +
                             std::to_string(data.tokens.size()) + " tokens of tokenizer.json");
    }
    data.end_ids.push_back(static_cast<int32_t>(id));
  }
  if (data.eos_id < 0 && !ids.empty()) data.eos_id = data.end_ids[0];
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerData> ParseTokenizerFiles(const TokenizerFiles& files,
                                                  const std::string& directory) {
  const std::string prefix = directory.empty() ? "" : directory + "/";
  const std::string tokenizer_path = prefix + "tokenizer.json";
  const std::string config_path = prefix + "tokenizer_config.json";
  if (files.tokenizer.empty()) return InvalidArgument(tokenizer_path + ": is missing or empty");
  ASSIGN_OR_RETURN(const json::object tokenizer,
                   ParseJsonFile(tokenizer_path, files.tokenizer, kLimits));
  const JsonDocument document(tokenizer, tokenizer_path);
  ASSIGN_OR_RETURN(TokenizerData data, TokenizerReader(document).Read());
  json::object config;
  if (!files.config.empty()) {
    ASSIGN_OR_RETURN(config, ParseJsonFile(config_path, files.config, kLimits));
  }
  const JsonDocument config_document(config, config_path);
  RETURN_IF_ERROR(ReadConfig(config_document, data));
  RETURN_IF_ERROR(ReadPostProcessor(document, data));
  RETURN_IF_ERROR(ReadFrameFlags(config_document, data));
  RETURN_IF_ERROR(TakeEndIds(files.end_ids, data));
  if (!files.chat_template.empty()) data.chat_template = files.chat_template;
  return data;
}

}  // namespace intactkv
