// What EngineCore is told once, at construction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/page_entry.h"
#include "engine/base/rng.h"
#include "engine/core/clock.h"
#include "engine/sched/executor.h"

namespace intactkv {

struct EngineCoreOptions {
  std::string model_identity;  // part of the prefix cache's anchor
  int32_t max_running = 16;    // sequences in a step, and hot slots
  int32_t max_tokens_per_step = 512;
  int32_t max_scored_rows = 32;   // of all prompts with score_prompt, in one step
  int32_t max_model_len = 2'048;  // prompt + max_new_tokens
  int32_t max_queue = 64;         // requests accepted and not yet admitted
  int32_t max_choices = 128;      // n
  int32_t num_pinned_blocks = 0;
  int32_t num_stored_blocks = 0;
  std::array<int64_t, kNumPageClasses> block_bytes{};  // by PageClass, for reports
  bool prefix_cache = true;
  bool runtime_pins = false;          // Pin after MarkReady()
  int32_t prefix_chunk_tokens = 512;  // rows of a step of a prefix build
  bool log_requests = true;           // one JSON line per finished request, never its text
  // Tests only: each request that matches c tokens of a pin builds a private pin of these c tokens
  // with its own full-precision executor and reads that. Needs spare pinned blocks.
  bool recompute_prefix_for_test = false;
  // Tests only: so many bytes of a block's hash name it in the prefix cache, so that names collide.
  size_t prefix_name_bytes_for_test = 32;
};

// Makes an Executor with the full-precision weights of the model that is served at the time of the
// call (EngineCore::epoch() tells which). Its class kStored is the serving executor's pinned pool,
// in the pin's dtype; it has one hot slot, slot 0, of its own. Called on the engine thread.
using FullPrecisionFactory = std::function<absl::StatusOr<std::unique_ptr<Executor>>()>;

// What EngineCore lives on.
struct EngineCoreParts {
  std::unique_ptr<Executor> executor;   // serves
  FullPrecisionFactory full_precision;  // may be empty: then nothing can be pinned
  const Clock* clock = nullptr;         // must outlive the engine
  Rng rng{0};                           // cache nonce
};

}  // namespace intactkv
