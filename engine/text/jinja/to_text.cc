#include "engine/text/jinja/to_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/text/jinja/operators.h"
#include "engine/text/utf8.h"

namespace intactkv::jinja {

namespace {

void AppendHex(std::string& out, std::string_view prefix, unsigned value, int digits) {
  out += prefix;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[value >> shift & 15u];
  }
}

// repr() of one character inside quotes; "" if it stands for itself.
std::string ReprEscape(char c, char quote) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
    default:
      break;
  }
  std::string out;
  if (c == quote) return {'\\', quote};
  const auto byte = static_cast<unsigned char>(c);
  if (byte < 0x20 || byte == 0x7F) AppendHex(out, "\\x", byte, 2);
  return out;
}

// The same inside a JSON string.
std::string JsonEscape(char c) {
  static constexpr std::string_view kBytes = "\n\r\t\b\f\"\\", kNames = "nrtbf\"\\";
  if (const size_t i = kBytes.find(c); i != std::string_view::npos) return {'\\', kNames[i]};
  std::string out;
  const auto byte = static_cast<unsigned char>(c);
  if (byte < 0x20) AppendHex(out, "\\u", byte, 4);
  return out;
}

template <typename Escape>
void AppendQuoted(Text& out, const Text& text, char quote, Escape escape) {
  out.Append({&quote, 1}, Origin::kTemplate);
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string escaped = escape(text.bytes()[i]);
    if (escaped.empty()) continue;
    out.Append(text, begin, i - begin);
    out.Append(escaped, text.origin(i));
    begin = i + 1;
  }
  out.Append(text, begin, text.size() - begin);
  out.Append({&quote, 1}, Origin::kTemplate);
}

void AppendTemplate(Text& out, std::string_view bytes) { out.Append(bytes, Origin::kTemplate); }

absl::Status AppendRepr(Text& out, const Value& value);

// str() of what is neither text, list nor dict.
absl::StatusOr<std::string> Scalar(const Value& value) {
  if (value.is_none()) return "None";
  if (const bool* b = value.as_bool()) return *b ? "True" : "False";
  if (const int64_t* i = value.as_int()) return std::to_string(*i);
  if (const double* d = value.as_float()) return FloatRepr(*d);
  if (value.is_undefined()) return "Undefined";
  return InvalidArgument("chat template: cannot print a " + std::string(value.type_name()));
}

absl::Status AppendReprItems(Text& out, const Values& items, bool tuple) {
  AppendTemplate(out, tuple ? "(" : "[");
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) AppendTemplate(out, ", ");
    RETURN_IF_ERROR(AppendRepr(out, items[i]));
  }
  AppendTemplate(out, tuple ? (items.size() == 1 ? ",)" : ")") : "]");
  return absl::OkStatus();
}

absl::Status AppendRepr(Text& out, const Value& value) {
  if (const Text* text = value.as_text()) {
    const bool has_single = text->bytes().find('\'') != std::string_view::npos;
    const bool has_double = text->bytes().find('"') != std::string_view::npos;
    const char quote = has_single && !has_double ? '"' : '\'';
    AppendQuoted(out, *text, quote, [quote](char c) { return ReprEscape(c, quote); });
    return absl::OkStatus();
  }
  if (const Values* list = value.as_list()) return AppendReprItems(out, *list, value.is_tuple());
  if (const Entries* dict = value.as_dict()) {
    AppendTemplate(out, "{");
    for (size_t i = 0; i < dict->size(); ++i) {
      if (i > 0) AppendTemplate(out, ", ");
      RETURN_IF_ERROR(AppendRepr(out, (*dict)[i].first));
      AppendTemplate(out, ": ");
      RETURN_IF_ERROR(AppendRepr(out, (*dict)[i].second));
    }
    AppendTemplate(out, "}");
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string scalar, Scalar(value));
  AppendTemplate(out, scalar);
  return absl::OkStatus();
}

class JsonWriter {
 public:
  JsonWriter(const JsonOptions& options, Budget& budget) : options_(options), budget_(budget) {}

  absl::Status Write(const Value& value) {
    if (const Text* text = value.as_text()) {
      AppendQuoted(out_, *text, '"', JsonEscape);
      return absl::OkStatus();
    }
    if (const Values* list = value.as_list()) return WriteList(*list);
    if (const Entries* dict = value.as_dict()) return WriteDict(*dict);
    if (value.is_none()) {
      AppendTemplate(out_, "null");
    } else if (const bool* b = value.as_bool()) {
      AppendTemplate(out_, *b ? "true" : "false");
    } else if (const double* d = value.as_float(); d != nullptr && !std::isfinite(*d)) {
      AppendTemplate(out_, std::isnan(*d) ? "NaN" : *d > 0 ? "Infinity" : "-Infinity");
    } else if (value.is_number()) {
      ASSIGN_OR_RETURN(const std::string scalar, Scalar(value));
      AppendTemplate(out_, scalar);
    } else {
      return value.is_undefined() ? UndefinedError(value)
                                  : InvalidArgument("chat template: no JSON for a " +
                                                    std::string(value.type_name()));
    }
    return absl::OkStatus();
  }

  Text Take() { return std::move(out_); }

 private:
  void Separate(bool first) {
    if (!first) AppendTemplate(out_, options_.indent < 0 ? ", " : ",");
    NewLine();
  }

  void NewLine() {
    if (options_.indent < 0) return;
    AppendTemplate(out_, "\n" + std::string(static_cast<size_t>(options_.indent * level_), ' '));
  }

  void Close(bool empty, std::string_view bracket) {
    --level_;
    if (!empty) NewLine();
    AppendTemplate(out_, bracket);
  }

  absl::Status WriteList(const Values& list) {
    RETURN_IF_ERROR(SpendIndent(list.size()));
    AppendTemplate(out_, "[");
    ++level_;
    for (size_t i = 0; i < list.size(); ++i) {
      Separate(i == 0);
      RETURN_IF_ERROR(Write(list[i]));
    }
    Close(list.empty(), "]");
    return absl::OkStatus();
  }

  absl::Status WriteDict(const Entries& dict) {
    std::vector<std::pair<Text, const Value*>> entries;
    for (const auto& [key, value] : dict) {
      ASSIGN_OR_RETURN(Text name, KeyText(key));
      entries.emplace_back(std::move(name), &value);
    }
    if (options_.sort_keys) {
      // The second half keeps the order of equal names: all point into one array.
      std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
        return std::pair(a.first.bytes(), a.second) < std::pair(b.first.bytes(), b.second);
      });
    }
    RETURN_IF_ERROR(SpendIndent(dict.size()));
    AppendTemplate(out_, "{");
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      Separate(i == 0);
      AppendQuoted(out_, entries[i].first, '"', JsonEscape);
      AppendTemplate(out_, ": ");
      RETURN_IF_ERROR(Write(*entries[i].second));
    }
    Close(dict.empty(), "}");
    return absl::OkStatus();
  }

  static absl::StatusOr<Text> KeyText(const Value& key) {
    if (const Text* text = key.as_text()) return *text;
    if (key.is_none()) return Text("null", Origin::kTemplate);
    if (const bool* b = key.as_bool()) return Text(*b ? "true" : "false", Origin::kTemplate);
    if (!key.is_number()) return InvalidArgument("chat template: no JSON for this key");
    ASSIGN_OR_RETURN(const std::string scalar, Scalar(key));
    return Text(scalar, Origin::kTemplate);
  }

  // Before `items` are written: what their indentation costs.
  absl::Status SpendIndent(size_t items) {
    const auto width = static_cast<size_t>(std::max(options_.indent, 0) * (level_ + 1));
    return budget_.SpendBytes(width * (items + 1));
  }

  const JsonOptions options_;
  Budget& budget_;
  int level_ = 0;
  Text out_;
};

}  // namespace

std::string FloatRepr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 400> buffer;
  const double magnitude = std::fabs(value);
  const bool plain = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format).ptr;
  std::string out(buffer.data(), end);
  if (plain && out.find('.') == std::string::npos) out += ".0";
  return out;
}

absl::StatusOr<Text> ToText(const Value& value, Budget& budget) {
  if (value.is_undefined()) return Text();
  RETURN_IF_ERROR(SpendWalk(value, budget));
  if (const Text* text = value.as_text()) return *text;
  Text out;
  RETURN_IF_ERROR(AppendRepr(out, value));
  return out;
}

absl::StatusOr<Text> ToJson(const Value& value, const JsonOptions& options, Budget& budget) {
  RETURN_IF_ERROR(SpendWalk(value, budget));
  JsonWriter writer(options, budget);
  RETURN_IF_ERROR(writer.Write(value));
  Text out = writer.Take();
  RETURN_IF_ERROR(budget.SpendBytes(out.size()));
  return out;
}

}  // namespace intactkv::jinja
