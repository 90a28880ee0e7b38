#include "server/main/stored_formats.h"

#include <algorithm>

#include "engine/base/status_macros.h"
#include "engine/model/kv_policy.h"

namespace intactkv {
namespace {

KvFormat ToKvFormat(KvMode mode, KvFormat automatic) {
  switch (mode) {
    case KvMode::kAuto:
      return automatic;
    case KvMode::kF32:
      return kKvF32;
    case KvMode::kBf16:
      return kKvBF16;
    case KvMode::kInt8:
      return kKvI8C;
    case KvMode::kK8v4:
      return kKvK8V4;
    case KvMode::kInt4:
      return kKvI4C;
  }
  return automatic;
}

std::string NameOf(const std::vector<KvFormat>& layers) {
  std::string out;
  for (size_t first = 0; first < layers.size();) {
    size_t end = first + 1;
    while (end < layers.size() && layers[end] == layers[first]) ++end;
    const std::string format(StoredFormatName(layers[first]));
    if (end - first == layers.size()) return format;
    out += (out.empty() ? "" : ", ") + std::to_string(first);
    if (end - first > 1) out += "-" + std::to_string(end - 1);
    out += " " + format;
    first = end;
  }
  return out;
}

std::vector<std::string> WarningsFor(const std::vector<KvFormat>& layers,
                                     std::string_view architecture) {
  std::vector<std::string> out;
  const std::string automatic(StoredFormatName(AutomaticKvFormat(architecture).format));
  for (const KvFormat format : StoredFormats()) {
    if (std::find(layers.begin(), layers.end(), format) == layers.end()) continue;
    const std::string reason = ReasonAgainst(architecture, format);
    if (reason.empty()) continue;
    out.push_back("warning: stored KV pages in " + std::string(StoredFormatName(format)) + ": " +
                  reason + "; --kv auto takes " + automatic);
  }
  return out;
}

}  // namespace

absl::StatusOr<StoredFormatChoice> ChooseStoredFormats(const ServerConfig& config,
                                                       std::string_view architecture,
                                                       int num_layers) {
  const KvPolicy policy = AutomaticKvFormat(architecture);
  std::vector<KvMode> modes(static_cast<size_t>(num_layers), config.kv);
  if (!config.kv_table.rows.empty()) {
    absl::StatusOr<std::vector<KvMode>> table = FormatsOfLayers(config.kv_table, num_layers);
    if (!table.ok()) {
      return InvalidArgument("--kv-table: " + std::string(ToStd(table.status().message())));
    }
    modes = *std::move(table);
  }
  StoredFormatChoice out;
  for (const KvMode mode : modes) out.layers.push_back(ToKvFormat(mode, policy.format));
  out.name = NameOf(out.layers);
  out.reason = "--kv " + std::string(Name(config.kv));
  if (config.kv == KvMode::kAuto) {
    out.reason += " for " + std::string(architecture) + ": " + policy.reason;
  }
  if (!config.kv_table.rows.empty()) out.reason = "--kv-table " + config.kv_table.path;
  out.warnings = WarningsFor(out.layers, architecture);
  return out;
}

}  // namespace intactkv
