#include "server/config/server_config.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <limits>
#include <map>

#include "engine/base/status_macros.h"
#include "server/config/flag_table.h"

namespace intactkv {
namespace {

namespace po = boost::program_options;

// One flag with its value, in the order of the command line.
struct Given {
  std::string name;
  std::string value;
};

// Boost's parser reports by exceptions; they end here.
absl::StatusOr<std::vector<Given>> SplitArguments(std::span<const std::string> args) {
  constexpr const char* kHint = ". 'intactkv serve --help' lists the flags";
  try {
    po::options_description description;
    for (const FlagSpec& flag : FlagTable()) {
      const std::string name(flag.name);
      if (flag.kind == FlagKind::kSwitch) {
        description.add_options()(name.c_str(), "");
      } else {
        description.add_options()(name.c_str(), po::value<std::string>(), "");
      }
    }
    // No guessing of abbreviated names: a later flag must not change what a script means.
    constexpr int kStyle = po::command_line_style::allow_long |
                           po::command_line_style::long_allow_adjacent |
                           po::command_line_style::long_allow_next;
    const po::parsed_options parsed =
        po::command_line_parser(std::vector<std::string>(args.begin(), args.end()))
            .options(description)
            .style(kStyle)
            .positional({})
            .run();
    std::vector<Given> given;
    for (const auto& option : parsed.options) {
      given.push_back({option.string_key, option.value.empty() ? "true" : option.value.front()});
    }
    return given;
  } catch (const po::too_many_positional_options_error&) {
    return InvalidArgument(std::string("only flags are expected here, each begins with --") +
                           kHint);
  } catch (const std::exception& e) {
    return InvalidArgument(std::string(e.what()) + kHint);
  }
}

std::string EnvName(std::string_view flag) {
  std::string name = "INTACTKV_";
  for (const char c : flag) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

absl::Status WithName(std::string_view name, const absl::Status& status) {
  if (status.ok()) return status;
  return {status.code(), ToAbsl(std::string(name) + ": " + std::string(ToStd(status.message())))};
}

absl::StatusOr<std::string> SwitchWord(const std::string& text) {
  for (const char* on : {"1", "true", "on", "yes"}) {
    if (text == on) return std::string("true");
  }
  for (const char* off : {"0", "false", "off", "no", ""}) {
    if (text == off) return std::string("false");
  }
  return InvalidArgument("'" + text + "' is not one of on, off, true, false, 1, 0");
}

absl::Status ApplyEnvironment(const FlagSpec& flag, const EnvLookup& env, ServerConfig& config) {
  const std::string name = EnvName(flag.name);
  std::optional<std::string> value = env(name);
  if (!value.has_value()) return absl::OkStatus();
  if (flag.kind == FlagKind::kSwitch) {
    absl::StatusOr<std::string> word = SwitchWord(*value);
    if (!word.ok()) return WithName(name, word.status());
    value = *word;
  }
  return WithName(name, flag.set(*value, config));
}

absl::Status CheckWhole(const ServerConfig& config) {
  if (config.model_path.empty()) {
    return InvalidArgument(
        "--model: give the path of a GGUF file or model directory; scripts/fetch-model.sh "
        "downloads a small one and "
        "prints its path");
  }
  if (config.max_tokens_per_step < config.max_running) {
    return InvalidArgument("--max-tokens-per-step (" + std::to_string(config.max_tokens_per_step) +
                           ") must be at least --max-running (" +
                           std::to_string(config.max_running) +
                           "), so that every running sequence gets its token");
  }
  const std::array<uint16_t, 3> ports = {config.port, config.admin_port, config.grpc_port};
  for (size_t i = 0; i < ports.size(); ++i) {
    for (size_t j = i + 1; j < ports.size(); ++j) {
      if (ports[i] != 0 && ports[i] == ports[j]) {
        return InvalidArgument("--port, --admin-port and --grpc-port must differ (" +
                               std::to_string(ports[i]) + " is used twice)");
      }
    }
  }
  if (config.kv != KvMode::kAuto && !config.kv_table.rows.empty()) {
    return InvalidArgument("--kv-table contradicts --kv " + std::string(Name(config.kv)) +
                           ": leave one of them out");
  }
  if (!config.pin && !config.system_prompts.empty()) {
    return InvalidArgument("--no-pin contradicts --system-prompt: leave one of them out");
  }
  return absl::OkStatus();
}

std::string NameFromPath(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();  // of a directory
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (name.size() > 5 && name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name;
}

}  // namespace

EnvLookup ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

absl::StatusOr<int64_t> ParseSize(std::string_view text) {
  const auto bad = [&] {
    return InvalidArgument("'" + std::string(text) + "' is not a size like 1048576, 512M or 2G");
  };
  int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || number < 0) return bad();
  std::string_view unit(stop, static_cast<size_t>(end - stop));
  int shift = 0;
  if (!unit.empty()) {
    constexpr std::string_view kUnits = "KMGT";
    const size_t index = kUnits.find(static_cast<char>(unit[0] & ~0x20));
    if (index == std::string_view::npos) return bad();
    shift = 10 * (static_cast<int>(index) + 1);
    unit.remove_prefix(1);
    if (!unit.empty() && unit != "iB" && unit != "B") return bad();
  }
  if (number > (std::numeric_limits<int64_t>::max() >> shift)) return bad();
  return number << shift;
}

absl::StatusOr<ServerConfig> ParseServeFlags(std::span<const std::string> args,
                                             const EnvLookup& env) {
  ASSIGN_OR_RETURN(const std::vector<Given> given, SplitArguments(args));
  ServerConfig config;
  for (const FlagSpec& flag : FlagTable()) {
    const auto same = [&](const Given& g) { return g.name == flag.name; };
    const auto count = std::count_if(given.begin(), given.end(), same);
    if (count == 0) {
      RETURN_IF_ERROR(ApplyEnvironment(flag, env, config));
    } else if (count > 1 && flag.kind == FlagKind::kValue) {
      return InvalidArgument("--" + std::string(flag.name) + ": given " + std::to_string(count) +
                             " times, give it once");
    }
  }
  // In the order of the command line, so that repeated prompts keep theirs across both flags.
  for (const Given& g : given) {
    const auto flags = FlagTable();
    const auto flag = std::find_if(flags.begin(), flags.end(),
                                   [&](const FlagSpec& spec) { return spec.name == g.name; });
    RETURN_IF_ERROR(WithName("--" + g.name, flag->set(g.value, config)));
  }
  RETURN_IF_ERROR(CheckWhole(config));
  if (config.model_name.empty()) config.model_name = NameFromPath(config.model_path);
  return config;
}

std::string HelpText() {
  std::string text =
      "Usage: intactkv serve --model PATH [flags]\n\n"
      "Each flag can also be set in the environment: --max-running as INTACTKV_MAX_RUNNING.\n"
      "SIZE is a number of bytes, with K, M, G or T for the binary multiples.\n";
  std::string_view group;
  for (const FlagSpec& flag : FlagTable()) {
    if (flag.group != group) {
      group = flag.group;
      text += "\n" + std::string(group) + ":\n";
    }
    std::string left = "  --" + std::string(flag.name);
    if (!flag.metavar.empty()) left += " " + std::string(flag.metavar);
    constexpr size_t kColumn = 30;
    left.append(left.size() < kColumn ? kColumn - left.size() : 1, ' ');
    text += left + std::string(flag.help) + "\n";
  }
  return text;
}

}  // namespace intactkv
