// Sampling parameters that come from outside, against what the sampler is defined for.
#pragma once

#include "absl/status/status.h"
#include "engine/base/sampling.h"

namespace intactkv {

// kInvalidArgument: the first value out of the range that engine/base/sampling.h states; NaN and
// infinities always are.
absl::Status CheckSampling(const SamplingParams& params);

}  // namespace intactkv
