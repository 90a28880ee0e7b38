// The parts of a running server below its wires, put together from concrete classes: model files,
// text codec, backend, KV pools, engine, pinned prefixes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/api/engine.h"
#include "engine/api/text_codec.h"
#include "engine/checkpoint/opened_model.h"
#include "engine/core/engine_core.h"
#include "engine/exec/memory_plan.h"
#include "engine/model/model_config.h"
#include "kernels/api/backend.h"
#include "server/config/server_config.h"
#include "server/main/pool_size.h"
#include "server/main/stored_formats.h"

namespace intactkv {

struct StackHooks {
  // Called with one finished line at a time (the memory table comes as one call); must be callable.
  std::function<void(const std::string& line)> print = [](const std::string&) {};
  // Tests may wrap the serving executor.
  std::function<std::unique_ptr<Executor>(std::unique_ptr<Executor>)> decorate =
      [](std::unique_ptr<Executor> executor) { return executor; };
};

// Immutable after Build but for the engine, which is not yet started. Destroys everything in order.
// Thread-compatible.
class ServingStack {
 public:
  // Loads, reserves all memory of the plan, builds the pins with the full-precision weights and
  // releases those. Errors name what to change.
  static absl::StatusOr<std::unique_ptr<ServingStack>> Build(const ServerConfig& config,
                                                             const StackHooks& hooks);
  ~ServingStack();

  EngineCore& engine() { return *engine_; }
  const TextCodec& codec() const { return *codec_; }
  const ModelConfig& model() const { return model_; }
  const MemoryPlan& plan() const { return plan_; }
  int32_t max_model_len() const { return max_model_len_; }
  const StoredFormatChoice& stored_formats() const { return stored_formats_; }

 private:
  class FullPrecision;
  ServingStack() = default;
  absl::Status OpenFiles(const ServerConfig& config, const StackHooks& hooks);
  absl::Status ChooseSizes(const ServerConfig& config);
  absl::StatusOr<std::vector<PinRequest>> RenderPins(const ServerConfig& config) const;
  absl::Status ReservePools(const ServerConfig& config, const std::vector<PinRequest>& pins);
  absl::Status MakeEngine(const ServerConfig& config, const StackHooks& hooks);
  absl::Status BuildPins(const std::vector<PinRequest>& pins, const StackHooks& hooks);
  void PrintDecisions(const ServerConfig& config, const StackHooks& hooks) const;

  std::unique_ptr<OpenedModel> files_;  // closed when ready, unless prefixes may be pinned later
  ModelConfig model_;
  std::unique_ptr<TextCodec> codec_;
  RealClock clock_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvPool> pinned_, stored_, hot_;
  std::unique_ptr<FullPrecision> full_precision_;
  std::unique_ptr<EngineCore> engine_;
  std::vector<KernelChoice> kernels_;
  MemoryPlan plan_;
  int64_t process_bytes_ = 0;
  int32_t max_model_len_ = 0;
  StoredFormatChoice stored_formats_;
  PageLayout layout_;
  PoolAnswer pool_;
  std::string weight_formats_;
  std::string weight_rounding_;  // empty: the file's own numbers are served
};

}  // namespace intactkv
