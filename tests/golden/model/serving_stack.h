// What the golden tests need of a server: the whole path from a prompt's ids to tokens, pins,
// scheduler and stored pages included, with the logits made visible. No HTTP, no text.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/api/engine.h"
#include "engine/base/ids.h"

namespace intactkv::golden {

struct ForcedPrompt {
  std::vector<TokenId> prompt;
  std::vector<TokenId> continuation;  // >= 1 id: what is fed back instead of the sampled tokens
};

struct ForcedRun {
  // [continuation.size(), vocab]: row i was computed from the prompt and the first i ids of the
  // continuation.
  std::vector<float> logits;
  RequestUsage usage;
};

// Thread-compatible.
class ServingStack {
 public:
  virtual ~ServingStack() = default;
  virtual int vocab_size() const = 0;
  // Serves all prompts at once. An error if any request fails or does not take the forced ids.
  virtual absl::StatusOr<std::vector<ForcedRun>> RunTeacherForced(
      std::span<const ForcedPrompt> prompts) = 0;
  // Serves all prompts at once, greedily, `num_tokens` each; end ids do not stop.
  virtual absl::StatusOr<std::vector<std::vector<TokenId>>> RunGreedy(
      std::span<const std::vector<TokenId>> prompts, int num_tokens) = 0;
};

// Values of the server's flags of the same names; an empty one is left at the server's default. The
// default system prompt is pinned.
struct StackConfiguration {
  std::string model_path;
  std::string weights, activations, kv;
};

// Loads the model, pins the default system prefix and starts an engine whose serving executor is a
// ForcedExecutor (forced_executor.h). Defined where concrete classes may be named:
// make_serving_stack.cc.
absl::StatusOr<std::unique_ptr<ServingStack>> MakeServingStack(const StackConfiguration& config);

}  // namespace intactkv::golden
