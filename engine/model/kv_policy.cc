#include "engine/model/kv_policy.h"

#include <algorithm>
#include <cstdio>

#include "engine/base/check.h"

namespace intactkv {
namespace {

struct Named {
  std::string_view name;
  KvFormat format;
};
constexpr Named kNames[] = {
    {"f32", kKvF32}, {"bf16", kKvBF16}, {"int8", kKvI8C}, {"k8v4", kKvK8V4}, {"int4", kKvI4C}};

constexpr KvFormat kFormats[] = {kKvF32, kKvBF16, kKvI8C, kKvK8V4, kKvI4C};

// A family that is not here takes the last row.
struct Automatic {
  std::string_view architecture;
  KvFormat format;
};
constexpr Automatic kAutomatic[] = {{"llama", kKvI8C}, {"qwen2", kKvI8C}, {"", kKvI8C}};

constexpr KvMeasurement kMeasurements[] = {
    {"llama", kKvBF16, 0.00001, 99.7, "SmolLM2-135M-Instruct"},
    {"llama", kKvI8C, 0.00002, 99.7, "SmolLM2-135M-Instruct"},
    {"llama", kKvK8V4, 0.00168, 98.0, "SmolLM2-135M-Instruct"},
    {"llama", kKvI4C, 0.00622, 95.7, "SmolLM2-135M-Instruct"},
    {"qwen2", kKvBF16, 0.00005, 99.7, "Qwen2.5-Coder-0.5B-Instruct"},
    {"qwen2", kKvI8C, 0.00001, 99.9, "Qwen2.5-Coder-0.5B-Instruct"},
    {"qwen2", kKvK8V4, 0.00124, 98.5, "Qwen2.5-Coder-0.5B-Instruct"},
    {"qwen2", kKvI4C, 0.00431, 96.8, "Qwen2.5-Coder-0.5B-Instruct"},
};

const KvMeasurement* Find(std::string_view architecture, KvFormat format) {
  const auto* row = std::find_if(std::begin(kMeasurements), std::end(kMeasurements),
                                 [&](const KvMeasurement& one) {
                                   return one.architecture == architecture && one.format == format;
                                 });
  return row == std::end(kMeasurements) ? nullptr : row;
}

std::string Text(const KvMeasurement& row) {
  char numbers[64];
  std::snprintf(numbers, sizeof(numbers), "mean KL %.5f, top-1 %.1f %%", row.mean_kl,
                row.top1_percent);
  return numbers + std::string(" on ") + std::string(row.model);
}

std::string NotMeasured(std::string_view architecture) {
  return "not measured on a model of the family " + std::string(architecture);
}

}  // namespace

std::string_view StoredFormatName(KvFormat format) {
  for (const Named& named : kNames) {
    if (named.format == format) return named.name;
  }
  CHECK(false) << "no stored format: " << KvFormatName(format);
}

std::span<const KvFormat> StoredFormats() { return kFormats; }

std::span<const KvMeasurement> KvMeasurements() { return kMeasurements; }

KvPolicy AutomaticKvFormat(std::string_view architecture) {
  const auto* row =
      std::find_if(std::begin(kAutomatic), std::end(kAutomatic) - 1,
                   [&](const Automatic& one) { return one.architecture == architecture; });
  const KvMeasurement* measured = Find(architecture, row->format);
  return {row->format, measured == nullptr ? NotMeasured(architecture) : Text(*measured)};
}

std::string ReasonAgainst(std::string_view architecture, KvFormat format) {
  const KvMeasurement* row = Find(architecture, format);
  if (row != nullptr && row->mean_kl <= kMaxKvMeanKl) return "";
  if (row != nullptr) return Text(*row);
  const bool by_default = AutomaticKvFormat(architecture).format == format;
  return by_default || IsFloat(format) ? "" : NotMeasured(architecture);
}

}  // namespace intactkv
