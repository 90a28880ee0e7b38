#include "server/config/flag_table.h"

#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

using Setter = std::function<absl::Status(const std::string&, ServerConfig&)>;
constexpr int64_t kMaxPromptFileBytes = int64_t{4} << 20;
constexpr int64_t kMaxTableFileBytes = int64_t{1} << 20;

template <typename E>
struct Word {
  std::string_view word;
  E value;
};
constexpr std::array<Word<WeightsMode>, 5> kWeightsWords = {{{"stored", WeightsMode::kStored},
                                                             {"f32", WeightsMode::kF32},
                                                             {"bf16", WeightsMode::kBf16},
                                                             {"int8", WeightsMode::kInt8},
                                                             {"int4", WeightsMode::kInt4}}};
constexpr std::array<Word<ActivationsMode>, 2> kActivationsWords = {
    {{"int8", ActivationsMode::kInt8}, {"f32", ActivationsMode::kF32}}};
constexpr std::array<Word<PinDtype>, 3> kPinWords = {
    {{"f32", PinDtype::kF32}, {"f16", PinDtype::kF16}, {"bf16", PinDtype::kBf16}}};
constexpr std::array<Word<bool>, 2> kOnOff = {{{"on", true}, {"off", false}}};

template <typename E, size_t N>
std::string_view WordOf(const std::array<Word<E>, N>& words, E value) {
  for (const Word<E>& word : words) {
    if (word.value == value) return word.word;
  }
  return "?";
}

template <typename E, size_t N>
Setter Choice(const std::array<Word<E>, N>& words, E ServerConfig::* field) {
  return [words, field](const std::string& text, ServerConfig& config) -> absl::Status {
    std::string wanted;
    for (const Word<E>& word : words) {
      if (word.word == text) {
        config.*field = word.value;
        return absl::OkStatus();
      }
      wanted += (wanted.empty() ? "" : ", ") + std::string(word.word);
    }
    return InvalidArgument("'" + text + "' is not one of " + wanted);
  };
}

absl::StatusOr<int64_t> ParseInteger(const std::string& text, int64_t low, int64_t high) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < low || value > high) {
    return InvalidArgument("'" + text + "' is not a whole number from " + std::to_string(low) +
                           " to " + std::to_string(high));
  }
  return value;
}

template <typename T>
Setter Integer(int64_t low, int64_t high, T ServerConfig::* field) {
  return [=](const std::string& text, ServerConfig& config) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t value, ParseInteger(text, low, high));
    config.*field = static_cast<T>(value);
    return absl::OkStatus();
  };
}

Setter Seconds(int64_t low, int64_t high, absl::Duration ServerConfig::* field) {
  return [=](const std::string& text, ServerConfig& config) -> absl::Status {
    ASSIGN_OR_RETURN(const int64_t value, ParseInteger(text, low, high));
    config.*field = absl::Seconds(value);
    return absl::OkStatus();
  };
}

Setter Size(int64_t ServerConfig::* field) {
  return [=](const std::string& text, ServerConfig& config) -> absl::Status {
    ASSIGN_OR_RETURN(config.*field, ParseSize(text));
    return absl::OkStatus();
  };
}

Setter Text(std::string ServerConfig::* field) {
  return [=](const std::string& text, ServerConfig& config) -> absl::Status {
    if (text.empty()) return InvalidArgument("must not be empty");
    config.*field = text;
    return absl::OkStatus();
  };
}

Setter Switch(bool ServerConfig::* field, bool when_on) {
  return [=](const std::string& text, ServerConfig& config) -> absl::Status {
    config.*field = (text == "true") == when_on;
    return absl::OkStatus();
  };
}

absl::Status AddSystemPrompt(const std::string& text, ServerConfig& config) {
  if (text.empty()) return InvalidArgument("must not be empty; use --no-pin to pin nothing");
  config.system_prompts.push_back(text);
  return absl::OkStatus();
}

// Not empty. max_bytes: whole MiB.
absl::StatusOr<std::string> ReadText(const std::string& path, int64_t max_bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound("cannot read '" + path + "'; give the path of a text file");
  std::string text;
  text.resize(static_cast<size_t>(max_bytes) + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (file.bad() || text.empty()) return NotFound("cannot read any text from '" + path + "'");
  if (text.size() > static_cast<size_t>(max_bytes)) {
    return InvalidArgument("'" + path + "' is larger than " + std::to_string(max_bytes >> 20) +
                           " MiB");
  }
  return text;
}

absl::Status AddSystemPromptFile(const std::string& path, ServerConfig& config) {
  ASSIGN_OR_RETURN(std::string text, ReadText(path, kMaxPromptFileBytes));
  if (text.back() == '\n') text.pop_back();  // the one that editors add
  return AddSystemPrompt(text, config);
}

absl::Status SetKv(const std::string& text, ServerConfig& config) {
  ASSIGN_OR_RETURN(config.kv, ParseKvMode(text));
  return absl::OkStatus();
}

absl::Status ReadKvTable(const std::string& path, ServerConfig& config) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(path, kMaxTableFileBytes));
  ASSIGN_OR_RETURN(config.kv_table, ParseKvTable(text, path));
  return absl::OkStatus();
}

std::vector<FlagSpec> MakeFlags() {
  using C = ServerConfig;
  constexpr auto kV = FlagKind::kValue;
  constexpr auto kR = FlagKind::kRepeatable;
  constexpr auto kS = FlagKind::kSwitch;
  constexpr std::string_view kModel = "Model", kNet = "Addresses", kNum = "Number formats",
                             kPre = "Prefixes and cache", kRun = "Load", kOps = "Operation";
  constexpr int64_t kPort = 65535;
  return {
      {"model", kV, "PATH", kModel, "GGUF file or Hugging Face directory to serve (required)",
       Text(&C::model_path)},
      {"model-name", kV, "NAME", kModel,
       "name that clients use (default: the file's name without .gguf, or the directory's)",
       Text(&C::model_name)},
      {"max-model-len", kV, "N", kModel,
       "context in tokens (default: the model's own, at most 32768)",
       Integer(1, int64_t{1} << 24, &C::max_model_len)},
      {"host", kV, "ADDR", kNet, "address of the REST API (default 127.0.0.1)", Text(&C::host)},
      {"port", kV, "N", kNet, "REST API (default 8080; 0 takes a free port and prints it)",
       Integer(0, kPort, &C::port)},
      {"admin-host", kV, "ADDR", kNet,
       "address of metrics, probes, /admin (default 127.0.0.1, whatever --host says)",
       Text(&C::admin_host)},
      {"admin-port", kV, "N", kNet, "metrics, probes, /admin (default 8081; 0 as above)",
       Integer(0, kPort, &C::admin_port)},
      {"grpc-host", kV, "ADDR", kNet,
       "address of the gRPC API (default 127.0.0.1, whatever --host says)", Text(&C::grpc_host)},
      {"grpc-port", kV, "N", kNet, "gRPC API (default 8082; 0 as above)",
       Integer(0, kPort, &C::grpc_port)},
      {"weights", kV, "FORMAT", kNum, "stored, f32, bf16, int8 or int4 (default stored)",
       Choice(kWeightsWords, &C::weights)},
      {"activations", kV, "FORMAT", kNum, "int8 or f32 (default int8)",
       Choice(kActivationsWords, &C::activations)},
      {"kv", kV, "FORMAT", kNum,
       "stored KV pages: auto, f32, bf16, int8, k8v4 or int4 (default auto: by model family)",
       SetKv},
      {"kv-table", kV, "PATH", kNum,
       "a format for each layer instead: lines of LAYER FORMAT or FIRST-LAST FORMAT", ReadKvTable},
      {"pin-dtype", kV, "DTYPE", kNum, "pinned KV pages: f32, f16 or bf16 (default f32)",
       Choice(kPinWords, &C::pin_dtype)},
      {"system-prompt", kR, "TEXT", kPre,
       "pin this system prompt in full precision; repeatable (default: the template's own)",
       AddSystemPrompt},
      {"system-prompt-file", kR, "PATH", kPre, "the same, from a file; repeatable",
       AddSystemPromptFile},
      {"no-pin", kS, "", kPre, "pin nothing (for comparison)", Switch(&C::pin, false)},
      {"runtime-pins", kS, "", kPre, "allow pins after start (plans memory for it)",
       Switch(&C::runtime_pins, true)},
      {"pin-budget-bytes", kV, "SIZE", kPre, "memory for pins (default: what they need)",
       Size(&C::pin_budget_bytes)},
      {"prefix-cache", kV, "on|off", kPre, "reuse of other shared prefixes (default on)",
       Choice(kOnOff, &C::prefix_cache)},
      {"kv-pool-bytes", kV, "SIZE", kPre,
       "memory for stored KV pages, e.g. 512M or 2G (default: auto)", Size(&C::kv_pool_bytes)},
      {"max-running", kV, "N", kRun, "sequences computed at once (default 16)",
       Integer(1, 1024, &C::max_running)},
      {"max-tokens-per-step", kV, "N", kRun, "token budget of one step (default 512)",
       Integer(1, 65536, &C::max_tokens_per_step)},
      {"max-queue", kV, "N", kRun, "waiting requests; more get 429 (default 512)",
       Integer(1, 1 << 20, &C::max_queue)},
      {"threads", kV, "N", kRun,
       "compute threads (default: one per core, within a cgroup's CPU quota; "
       "under a quota they are not pinned to cores)",
       Integer(0, 1024, &C::threads)},
      {"request-timeout", kV, "SECONDS", kRun, "longest time of one request (default 600)",
       Seconds(1, 86400, &C::request_timeout)},
      {"drain-timeout", kV, "SECONDS", kOps,
       "time that running requests get at shutdown (default 30)",
       Seconds(0, 86400, &C::drain_timeout)},
  };
}

}  // namespace

std::string_view Name(WeightsMode mode) { return WordOf(kWeightsWords, mode); }
std::string_view Name(ActivationsMode mode) { return WordOf(kActivationsWords, mode); }
std::string_view Name(PinDtype dtype) { return WordOf(kPinWords, dtype); }

std::span<const FlagSpec> FlagTable() {
  static const std::vector<FlagSpec>* flags = new std::vector<FlagSpec>(MakeFlags());
  return *flags;
}

}  // namespace intactkv
