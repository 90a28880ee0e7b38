// Which format stored KV pages take by default: what each format costs on a model of each family.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "kernels/api/page_layout.h"

namespace intactkv {

// The words of --kv for the formats of stored pages: "f32", "bf16", "int8", "k8v4", "int4".
std::string_view StoredFormatName(KvFormat format);
std::span<const KvFormat> StoredFormats();  // all of them, most bits first

// What stored pages of one format cost against full-precision pages, on a model of the family.
struct KvMeasurement {
  std::string_view architecture;  // as ModelConfig's
  KvFormat format;
  double mean_kl;
  double top1_percent;
  std::string_view model;
};

// The table of docs/adr/0005-kv-format-per-family.md, row by row.
std::span<const KvMeasurement> KvMeasurements();

// A format that costs more than this is never a default, and is warned of when it is asked for:
// about what int8 activations cost.
inline constexpr double kMaxKvMeanKl = 0.0020;

// What --kv auto takes, and why in one line.
struct KvPolicy {
  KvFormat format;
  std::string reason;
};
KvPolicy AutomaticKvFormat(std::string_view architecture);

// What speaks against `format` for this family, in one line; empty: nothing.
std::string ReasonAgainst(std::string_view architecture, KvFormat format);

}  // namespace intactkv
