// intactkv: the one executable and its subcommands.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/checkpoint/opened_model.h"
#include "server/config/server_config.h"
#include "server/main/bench.h"
#include "server/main/machine.h"
#include "server/main/serve.h"

namespace intactkv {
namespace {

using Args = std::vector<std::string>;

constexpr char kUsage[] =
    "intactkv: an LLM server that keeps shared system prompts in full precision and everything "
    "else small.\n"
    "\n"
    "  intactkv serve [flags]          serve the OpenAI-compatible REST API and gRPC (flags: "
    "intactkv serve --help)\n"
    "  intactkv bench [flags]          measure prefill and decode speed on this machine\n"
    "  intactkv model inspect PATH     say what a model file or directory is\n"
    "  intactkv version                print the version\n"
    "\n"
    "bench takes the flags of serve and: --prompt-tokens N (512), --decode-tokens N (128), "
    "--repeats N (5)\n";

// One line, whatever words of a file it repeats: a terminal takes no commands from them.
int Fail(const absl::Status& status) {
  std::string line(ToStd(status.message()));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  std::fprintf(stderr, "intactkv: %s\n", line.c_str());
  return 1;
}

bool WantsHelp(const Args& args) {
  for (const std::string& arg : args) {
    if (arg == "--help" || arg == "-h") return true;
  }
  return false;
}

// Without --model: the one that scripts/fetch-model.sh keeps.
absl::StatusOr<ServerConfig> ParseConfig(Args args) {
  bool has_model = ProcessEnvironment()("INTACTKV_MODEL").has_value();
  for (const std::string& arg : args)
    has_model |= arg == "--model" || arg.rfind("--model=", 0) == 0;
  if (!has_model) args.insert(args.end(), {"--model", DefaultModelPath()});
  return ParseServeFlags(args, ProcessEnvironment());
}

int Serve(const Args& args) {
  if (WantsHelp(args)) {
    std::printf("%s", HelpText().c_str());
    return 0;
  }
  const absl::StatusOr<ServerConfig> config = ParseConfig(args);
  if (!config.ok()) return Fail(config.status());
  const absl::Status status = RunServer(*config);
  return status.ok() ? 0 : Fail(status);
}

// Takes `--name N` out of `args`.
absl::Status TakeNumber(Args& args, const std::string& name, int32_t& value) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] != name) continue;
    if (i + 1 == args.size()) return InvalidArgument(name + " needs a number");
    char* end = nullptr;
    const long number = std::strtol(args[i + 1].c_str(), &end, 10);
    if (end == args[i + 1].c_str() || *end != '\0' || number < 1 || number > 1'000'000) {
      return InvalidArgument(name + " " + args[i + 1] + ": needs a number from 1 to 1000000");
    }
    value = static_cast<int32_t>(number);
    args.erase(args.begin() + static_cast<std::ptrdiff_t>(i),
               args.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Bench(Args args) {
  BenchOptions options;
  RETURN_IF_ERROR(TakeNumber(args, "--prompt-tokens", options.prompt_tokens));
  RETURN_IF_ERROR(TakeNumber(args, "--decode-tokens", options.decode_tokens));
  RETURN_IF_ERROR(TakeNumber(args, "--repeats", options.repeats));
  ASSIGN_OR_RETURN(const ServerConfig config, ParseConfig(args));
  return RunBench(config, options);
}

absl::Status Inspect(const std::string& path) {
  ASSIGN_OR_RETURN(const OpenedModel model, OpenedModel::Open(path));
  std::printf("%s", model.Describe().c_str());
  return absl::OkStatus();
}

int Main(const Args& args) {
  const std::string command = args.empty() ? "--help" : args[0];
  const Args rest(args.begin() + (args.empty() ? 0 : 1), args.end());
  if (command == "--help" || command == "-h" || command == "help") {
    std::printf("%s", kUsage);
    return 0;
  }
  if (command == "version" || command == "--version") {
    std::printf("intactkv %s\n", INTACTKV_VERSION);
    return 0;
  }
  if (command == "serve") return Serve(rest);
  if (command == "bench") {
    if (WantsHelp(rest)) {
      std::printf("%s", kUsage);
      return 0;
    }
    const absl::Status status = Bench(rest);
    return status.ok() ? 0 : Fail(status);
  }
  if (command == "model" && rest.size() == 2 && rest[0] == "inspect") {
    const absl::Status status = Inspect(rest[1]);
    return status.ok() ? 0 : Fail(status);
  }
  std::fprintf(stderr, "intactkv: unknown command; here is what there is\n\n%s", kUsage);
  return 2;
}

}  // namespace
}  // namespace intactkv

int main(int argc, char** argv) {
  return intactkv::Main(std::vector<std::string>(argv + 1, argv + argc));
}
