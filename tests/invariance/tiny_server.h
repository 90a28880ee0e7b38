// A whole server below the wires, on a tiny random model: CPU backend with a given instruction set,
// pools, executors, and an EngineCore that is stepped by hand and audited after every step.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/core/engine_core.h"
#include "engine/exec/transformer_executor.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/isa.h"
#include "tests/invariance/recording_executor.h"
#include "tests/invariance/stored_table.h"
#include "tests/invariance/transcript.h"

namespace intactkv::test {

// The default serves what the product serves, but for the prefix cache: int4 weights by rounding to
// nearest, int8 activations, pins from F32 weights.
struct ServerSpec {
  Isa isa = Isa::kScalar;
  StoredTable stored = kKvF32;
  WeightFormat weights = WeightFormat::kInt4;
  ActivationFormat activations = ActivationFormat::kInt8;
  int num_threads = 1;
  int32_t num_pinned_blocks = 48;
  int32_t num_stored_blocks = 48;
  int32_t max_running = 8;
  int32_t chunk = 1'200;  // tokens in a step, over all sequences
  int32_t max_scored_rows = 32;
  // The same while a prefix is built. 0: whole, and once per process (BuildOnceExecutor).
  int32_t build_chunk = 0;
  bool prefix_cache = false;
  // EngineCoreOptions::recompute_prefix_for_test. What Pin() makes is then only matched, never
  // read: nothing is computed for it, and its pages are poisoned.
  bool recompute_prefix = false;
  bool all_rows = true;  // see RecordingExecutor
};

// What the audits after the steps saw of the stored pool.
struct PoolUse {
  int32_t max_used = 0;   // blocks that were not free
  int32_t max_owned = 0;  // blocks that sequences held
};

// Pins first, then requests, all of one choice and greedy. Audit problems are test failures.
class TinyServer {
 public:
  explicit TinyServer(const ServerSpec& spec);
  ~TinyServer();

  PrefixInfo Pin(const std::vector<TokenId>& tokens);
  // Returns the number of the request, counted from 0.
  size_t Submit(const std::vector<TokenId>& prompt, int32_t max_new_tokens);
  // The same, and the prompt's tokens are scored, with two top log probabilities each.
  size_t SubmitScored(const std::vector<TokenId>& prompt, int32_t max_new_tokens);
  // True while there is work.
  bool Step();
  void RunUntilIdle();
  // Submit, RunUntilIdle, Answer.
  Transcript Run(const std::vector<TokenId>& prompt, int32_t max_new_tokens);
  Transcript Answer(size_t request) const;
  bool IsFinished(size_t request) const { return answers_.at(request)->finished; }

  // Ruins everything that no later row may read: stored pages that no sequence holds or that are
  // not full yet, hot slots that no sequence holds, and the lanes of the others that are not
  // written yet. Requires that the last step had every sequence that still runs, and no prefix
  // cache.
  void PoisonUnreadable();

  // What ReferenceLogits gives for the served file's own numbers.
  static std::vector<double> Reference(const std::vector<TokenId>& tokens);

  EngineCore& engine() { return *engine_; }
  const StepLog& log() const { return log_; }
  const SequenceLog& Pages(size_t request) const { return log_.sequences.at(SequenceId(request)); }
  const PoolUse& stored_use() const { return stored_use_; }
  KvPool& pinned() { return *pinned_; }
  KvPool& stored() { return *stored_; }
  KvPool& hot() { return *hot_; }
  const Backend& backend() const { return *backend_; }
  std::vector<KernelChoice> Kernels() const;
  // As the serving executor sees its pages.
  std::string Checksum(const std::vector<PageEntry>& entries) const;

 private:
  class Sink;

  size_t Submit(GenerationRequest request);
  std::unique_ptr<TransformerExecutor> MakeExecutor(WeightFormat weights,
                                                    const ExecutorOptions& options);
  ExecutorOptions ServingOptions() const;
  std::unique_ptr<Executor> MakePrefixExecutor();
  bool IsRunning(const SequenceLog& sequence, size_t request) const;

  const ServerSpec spec_;
  const int32_t build_chunk_;
  ManualClock clock_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvPool> pinned_, stored_, hot_, build_hot_;
  StepLog log_;
  const Executor* serving_ = nullptr;  // owned by the engine
  ModelShape shape_;
  std::unique_ptr<EngineCore> engine_;
  std::vector<std::shared_ptr<Transcript>> answers_;  // without rows
  std::vector<RequestHandle> handles_;                // destroyed first
  PoolUse stored_use_;
};

}  // namespace intactkv::test
