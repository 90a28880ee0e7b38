#include "engine/checkpoint/directory_rope.h"

#include <string>
#include <vector>

#include "engine/base/printable.h"
#include "engine/base/status_macros.h"
#include "engine/model/rope_frequencies.h"

namespace intactkv {
namespace {

constexpr double kDefaultBase = 10'000;

absl::Status CheckWhole(const JsonFields& fields) {
  if (!fields.Has("partial_rotary_factor")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const double part, fields.GetFloat("partial_rotary_factor", 0, 1.0001));
  if (part == 1) return absl::OkStatus();
  return Unimplemented(fields.Where("partial_rotary_factor") +
                       ": RoPE on a part of the head is not supported, only 1");
}

absl::StatusOr<double> ReadBase(const JsonFields& fields, double otherwise) {
  if (!fields.Has("rope_theta")) return otherwise;
  return fields.GetFloat("rope_theta", 1, 1e12);
}

absl::StatusOr<std::string> ReadType(const JsonFields& scaling) {
  // "type" is the older name.
  for (const char* key : {"rope_type", "type"}) {
    if (scaling.Has(key)) return scaling.GetString(key);
  }
  return std::string("default");
}

absl::StatusOr<Llama3Scaling> ReadLlama3(const JsonFields& scaling) {
  Llama3Scaling out;
  ASSIGN_OR_RETURN(out.factor, scaling.GetFloat("factor", kMinRopeFactor, kMaxRopeFactor));
  ASSIGN_OR_RETURN(out.low_freq_factor, scaling.GetFloat("low_freq_factor", 0, 1e6));
  ASSIGN_OR_RETURN(out.high_freq_factor,
                   scaling.GetFloat("high_freq_factor", out.low_freq_factor, 1e6));
  ASSIGN_OR_RETURN(const int64_t original,
                   scaling.GetInt("original_max_position_embeddings", 1, kMaxContext));
  out.original_context = static_cast<double>(original);
  return out;
}

absl::Status ReadScaling(const JsonFields& scaling, double base, ModelConfig* config,
                         std::vector<float>* divisors) {
  RETURN_IF_ERROR(CheckWhole(scaling));
  ASSIGN_OR_RETURN(const std::string type, ReadType(scaling));
  if (type == "default") return absl::OkStatus();
  if (type == "linear") {
    ASSIGN_OR_RETURN(const double factor,
                     scaling.GetFloat("factor", kMinRopeFactor, kMaxRopeFactor));
    config->rope_linear_factor = static_cast<float>(factor);
    return absl::OkStatus();
  }
  if (type == "llama3") {
    ASSIGN_OR_RETURN(const Llama3Scaling llama3, ReadLlama3(scaling));
    config->rope_has_factors = true;
    *divisors = Llama3Divisors(llama3, base, config->head_dim);
    return absl::OkStatus();
  }
  return Unimplemented(scaling.Where("rope_type") + ": RoPE scaling '" + Printable(type) +
                       "' is not supported, only default, linear and llama3");
}

}  // namespace

absl::Status ReadDirectoryRope(const JsonFields& fields, ModelConfig* config) {
  RETURN_IF_ERROR(CheckWhole(fields));
  ASSIGN_OR_RETURN(double base, ReadBase(fields, kDefaultBase));
  std::vector<float> divisors(static_cast<size_t>(config->head_dim) / 2, 1.0f);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!fields.Has(key)) continue;
    ASSIGN_OR_RETURN(const JsonFields scaling, fields.GetObject(key));
    ASSIGN_OR_RETURN(base, ReadBase(scaling, base));
    RETURN_IF_ERROR(ReadScaling(scaling, base, config, &divisors));
    break;
  }
  config->rope_freq_base = static_cast<float>(base);
  config->rope_inv_freq = RopeFrequencies(base, config->head_dim, divisors,
                                          static_cast<double>(config->rope_linear_factor));
  return absl::OkStatus();
}

}  // namespace intactkv
