#include "engine/core/check_sampling.h"

#include <cmath>
#include <string>

#include "engine/base/status_macros.h"

namespace intactkv {

absl::Status CheckSampling(const SamplingParams& params) {
  // Written so that NaN fails.
  if (!(std::isfinite(params.temperature) && params.temperature >= 0.0f)) {
    return InvalidArgument("temperature must be a finite number >= 0");
  }
  if (params.top_k < 0) return InvalidArgument("top_k must be >= 0");
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    return InvalidArgument("top_p must be above 0 and at most 1");
  }
  if (!(params.min_p >= 0.0f && params.min_p <= 1.0f)) {
    return InvalidArgument("min_p must be in 0..1");
  }
  if (params.num_logprobs < -1 || params.num_logprobs > kMaxLogprobs) {
    return InvalidArgument("num_logprobs must be in -1.." + std::to_string(kMaxLogprobs));
  }
  return absl::OkStatus();
}

}  // namespace intactkv
