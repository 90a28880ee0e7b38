// Counts and times of finished and running requests, in the form that EngineStats reports.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "engine/api/engine.h"

namespace intactkv {

// counts[i]: values <= bounds[i] and > bounds[i - 1]; O(log bounds).
void Observe(Histogram& histogram, double value);

// Fills bounds of all histograms of EngineStats; counts are 0.
EngineStats MakeEmptyStats();

// The reason under which a request is counted: each accepted request has exactly one.
FinishReason ReasonOf(const absl::Status& status, FinishReason own);

}  // namespace intactkv
