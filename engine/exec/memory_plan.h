// The memory that serving reserves before it is ready, and keeps to: weights, pages, scratch.
#pragma once

#include <cstdint>
#include <string>

namespace intactkv {

// Pages of one class: how many, and the bytes of each.
struct PagePlan {
  int64_t num_pages = 0;
  int64_t page_bytes = 0;
  int64_t bytes() const { return num_pages * page_bytes; }
};

// Plain values, in bytes. The caller fills them from the pools, the model and the context, so that
// the plan is what was reserved, not an estimate.
struct MemoryPlan {
  int64_t process_bytes = 0;  // code, libraries, tokenizer: what is resident before the parts below
  int64_t weights_bytes = 0;
  PagePlan pinned;  // the pin budget
  PagePlan stored;
  PagePlan hot;  // one per running sequence
  int64_t scratch_bytes = 0;
  // One more set of full-precision weights; 0 unless prefixes may be pinned while serving.
  int64_t runtime_pin_weights_bytes = 0;

  int64_t total_bytes() const {
    return process_bytes + weights_bytes + pinned.bytes() + stored.bytes() + hot.bytes() +
           scratch_bytes + runtime_pin_weights_bytes;
  }
};

// A table of one line per part and the total, each line ending in '\n'; parts of 0 bytes that are
// optional (runtime pins) are left out.
std::string FormatMemoryPlan(const MemoryPlan& plan);

}  // namespace intactkv
