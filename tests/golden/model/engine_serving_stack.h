// ServingStack over any Engine whose serving executor is a ForcedExecutor.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/api/engine.h"
#include "tests/golden/model/forced_executor.h"
#include "tests/golden/model/serving_stack.h"

namespace intactkv::golden {

class EngineServingStack : public ServingStack {
 public:
  // `engine` runs its own thread and shares `forced` with its executor. An aliasing pointer keeps
  // whatever owns the engine alive.
  EngineServingStack(std::shared_ptr<Engine> engine, std::shared_ptr<ForcedTokens> forced,
                     int vocab_size);
  int vocab_size() const override { return vocab_size_; }
  absl::StatusOr<std::vector<ForcedRun>> RunTeacherForced(
      std::span<const ForcedPrompt> prompts) override;
  absl::StatusOr<std::vector<std::vector<TokenId>>> RunGreedy(
      std::span<const std::vector<TokenId>> prompts, int num_tokens) override;

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<ForcedTokens> forced_;
  int vocab_size_;
  uint64_t next_key_ = 1;  // never reused; 0 is the seed of requests that nobody forces
};

}  // namespace intactkv::golden
