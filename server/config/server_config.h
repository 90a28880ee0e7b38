// Flags and environment -> one validated ServerConfig. What a value means is decided here; whether
// it fits the model or the machine is decided by who uses it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/kv_table.h"

namespace intactkv {

enum class WeightsMode : uint8_t { kStored, kF32, kBf16, kInt8, kInt4 };
enum class ActivationsMode : uint8_t { kInt8, kF32 };
enum class PinDtype : uint8_t { kF32, kF16, kBf16 };

// The flag's own words ("int8"), for start-up lines and errors.
std::string_view Name(WeightsMode mode);
std::string_view Name(ActivationsMode mode);
std::string_view Name(PinDtype dtype);

// Handed around as const once parsed.
struct ServerConfig {
  std::string model_path;
  std::string model_name;  // what clients send as `model`; by default the file's name without .gguf
  std::string host = "127.0.0.1";        // of the REST API alone
  std::string admin_host = "127.0.0.1";  // nobody asks who is there: not to be opened with the API
  std::string grpc_host = "127.0.0.1";   // likewise
  uint16_t port = 8080;                  // 0: a free one
  uint16_t admin_port = 8081;            // likewise
  uint16_t grpc_port = 8082;             // likewise

  WeightsMode weights = WeightsMode::kStored;
  ActivationsMode activations = ActivationsMode::kInt8;
  KvMode kv = KvMode::kAuto;
  KvTable kv_table;  // no rows: one format, that of `kv`
  PinDtype pin_dtype = PinDtype::kF32;

  std::vector<std::string> system_prompts;  // texts, files already read; in the order given
  bool pin = true;                          // false: --no-pin
  bool runtime_pins = false;
  bool prefix_cache = true;
  int64_t kv_pool_bytes = 0;     // 0: chosen from the machine's memory
  int64_t pin_budget_bytes = 0;  // 0: what the configured prompts need

  int32_t max_running = 16;
  int32_t max_tokens_per_step = 512;
  int32_t max_model_len = 0;  // 0: the model's own
  int32_t max_queue = 512;
  int32_t threads = 0;  // compute threads; 0: one per core, within a quota

  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration request_timeout = absl::Seconds(600);
};

// Looks one environment variable up; nullopt if it is not set.
using EnvLookup = std::function<std::optional<std::string>(const std::string& name)>;
// The process's own environment.
EnvLookup ProcessEnvironment();

// `args`: what follows `intactkv serve`. A flag wins over INTACTKV_<FLAG> (upper case, '_' for
// '-'), which wins over the default. Errors: kInvalidArgument, one line that names the flag and
// says what to give; kNotFound, a file that cannot be read. `--help` is left to the
// caller.
absl::StatusOr<ServerConfig> ParseServeFlags(std::span<const std::string> args,
                                             const EnvLookup& env);

// All flags in groups, with defaults; ends with a newline.
std::string HelpText();

// "512M" -> 536870912. A whole number >= 0, then nothing or one of K, M, G, T (binary; "MiB" and
// "MB" mean the same).
absl::StatusOr<int64_t> ParseSize(std::string_view text);

}  // namespace intactkv
