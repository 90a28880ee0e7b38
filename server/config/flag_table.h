// The list of flags: one row each, from which parsing, environment look-up and help are made.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/config/server_config.h"

namespace intactkv {

enum class FlagKind : uint8_t { kValue, kRepeatable, kSwitch };

struct FlagSpec {
  std::string_view name;  // without the dashes
  FlagKind kind;
  std::string_view metavar;  // "" for a switch
  std::string_view group;
  std::string_view help;  // with the default
  // Checks `value` and stores it ("true" or "false" for a switch). The message of an error says
  // what was wanted; the caller puts the flag's name in front.
  std::function<absl::Status(const std::string& value, ServerConfig& config)> set;
};

// In the order of the help text; rows of one group stand together.
std::span<const FlagSpec> FlagTable();

}  // namespace intactkv
