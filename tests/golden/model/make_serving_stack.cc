// The golden tests' engine: the server's own stack, its serving executor wrapped by a
// ForcedExecutor.
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "server/config/server_config.h"
#include "server/main/serving_stack.h"
#include "tests/golden/model/engine_serving_stack.h"
#include "tests/golden/model/forced_executor.h"

namespace intactkv::golden {

absl::StatusOr<std::unique_ptr<ServingStack>> MakeServingStack(const StackConfiguration& config) {
  std::vector<std::string> flags = {"--model", config.model_path};
  const auto add = [&flags](const char* name, const std::string& value) {
    if (!value.empty()) flags.insert(flags.end(), {name, value});
  };
  add("--weights", config.weights);
  add("--activations", config.activations);
  add("--kv", config.kv);
  // The environment is left out: a test serves what it names.
  ASSIGN_OR_RETURN(const ServerConfig server,
                   ParseServeFlags(flags, [](const std::string&) { return std::nullopt; }));
  auto forced = std::make_shared<ForcedTokens>();
  StackHooks hooks;
  hooks.decorate = [forced](std::unique_ptr<Executor> executor) {
    return std::make_unique<ForcedExecutor>(std::move(executor), forced);
  };
  ASSIGN_OR_RETURN(std::unique_ptr<intactkv::ServingStack> built,
                   intactkv::ServingStack::Build(server, hooks));
  std::shared_ptr<intactkv::ServingStack> stack = std::move(built);
  stack->engine().Start();
  const int vocab = stack->model().vocab;
  return std::make_unique<EngineServingStack>(std::shared_ptr<Engine>(stack, &stack->engine()),
                                              forced, vocab);
}

}  // namespace intactkv::golden
