// Sampling parameters that come from outside, against what the sampler is defined for.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "engine/base/sampling.h"

namespace intactkv {

// kInvalidArgument: the first value out of the range that engine/base/sampling.h states (NaN and
// infinities always are), or a token id outside a vocabulary of `vocab_size`.
absl::Status CheckSampling(const SamplingParams& params, int32_t vocab_size);

}  // namespace intactkv
