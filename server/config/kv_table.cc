#include "server/config/kv_table.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

constexpr int kMaxLayer = 1023;  // no served model has more layers

struct Word {
  std::string_view word;
  KvMode mode;
};
constexpr Word kWords[] = {{"auto", KvMode::kAuto}, {"f32", KvMode::kF32},
                           {"bf16", KvMode::kBf16}, {"int8", KvMode::kInt8},
                           {"k8v4", KvMode::kK8v4}, {"int4", KvMode::kInt4}};

absl::Status At(const std::string& path, int line, const std::string& why) {
  return InvalidArgument(path + ":" + std::to_string(line) + ": " + why);
}

absl::StatusOr<KvMode> ParseWord(std::string_view text, bool allow_auto) {
  std::string wanted;
  for (const Word& word : kWords) {
    if (word.mode == KvMode::kAuto && !allow_auto) continue;
    if (word.word == text) return word.mode;
    wanted += (wanted.empty() ? "" : ", ") + std::string(word.word);
  }
  return InvalidArgument("'" + Printable(text) + "' is not one of " + wanted);
}

// The words of a line, without its comment.
std::vector<std::string_view> Split(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  line = line.substr(0, line.find('#'));
  std::vector<std::string_view> words;
  for (;;) {
    const size_t begin = line.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const size_t end = std::min(line.find_first_of(kSpace), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::optional<int> ParseLayer(std::string_view text) {
  int layer = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, layer);
  if (error != std::errc() || stop != end || layer < 0 || layer > kMaxLayer) return std::nullopt;
  return layer;
}

// "4" or "0-7".
absl::StatusOr<std::pair<int, int>> ParseRange(std::string_view text) {
  const size_t dash = text.find('-');
  const std::optional<int> first = ParseLayer(text.substr(0, dash));
  const std::optional<int> last =
      dash == std::string_view::npos ? first : ParseLayer(text.substr(dash + 1));
  const std::string quoted = "'" + Printable(text) + "'";
  if (!first.has_value() || !last.has_value()) {
    return InvalidArgument(quoted + " is no layer from 0 to " + std::to_string(kMaxLayer) +
                           " and no range of them such as 0-7");
  }
  if (*last < *first) return InvalidArgument(quoted + " ends before it begins");
  return std::pair(*first, *last);
}

absl::StatusOr<KvTable::Row> ParseRow(const std::vector<std::string_view>& words) {
  if (words.size() != 2) {
    return InvalidArgument("has " + std::to_string(words.size()) +
                           " words; give a layer or a range of layers, then a format");
  }
  ASSIGN_OR_RETURN(const auto range, ParseRange(words[0]));
  ASSIGN_OR_RETURN(const KvMode format, ParseWord(words[1], /*allow_auto=*/false));
  return KvTable::Row{range.first, range.second, format, 0};
}

absl::Status CheckDistinct(const KvTable& table, const KvTable::Row& row) {
  for (const KvTable::Row& other : table.rows) {
    const int layer = std::max(other.first, row.first);
    if (layer > std::min(other.last, row.last)) continue;
    return At(table.path, row.line,
              "layer " + std::to_string(layer) + " has its format on line " +
                  std::to_string(other.line) + " already");
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view Name(KvMode mode) {
  for (const Word& word : kWords) {
    if (word.mode == mode) return word.word;
  }
  return "?";
}

absl::StatusOr<KvMode> ParseKvMode(std::string_view word) {
  return ParseWord(word, /*allow_auto=*/true);
}

absl::StatusOr<KvTable> ParseKvTable(std::string_view text, const std::string& path) {
  KvTable table{path, {}};
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> words = Split(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty()) continue;
    absl::StatusOr<KvTable::Row> row = ParseRow(words);
    if (!row.ok()) return At(path, line, std::string(ToStd(row.status().message())));
    row->line = line;
    RETURN_IF_ERROR(CheckDistinct(table, *row));
    table.rows.push_back(*row);
  }
  if (table.rows.empty()) return InvalidArgument(path + ": names no layer");
  return table;
}

absl::StatusOr<std::vector<KvMode>> FormatsOfLayers(const KvTable& table, int num_layers) {
  std::vector<KvMode> formats(static_cast<size_t>(num_layers), KvMode::kAuto);
  const std::string layers = "the model's layers are 0-" + std::to_string(num_layers - 1);
  for (const KvTable::Row& row : table.rows) {
    if (row.last >= num_layers) {
      return At(table.path, row.line, "layer " + std::to_string(row.last) + ": " + layers);
    }
    std::fill(formats.begin() + row.first, formats.begin() + row.last + 1, row.format);
  }
  const auto missing = std::find(formats.begin(), formats.end(), KvMode::kAuto);
  if (missing == formats.end()) return formats;
  return InvalidArgument(table.path + ": no format for layer " +
                         std::to_string(missing - formats.begin()) + "; " + layers);
}

}  // namespace intactkv
