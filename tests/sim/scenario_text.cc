// Scenarios as text, for failure reports.
#include <string>

#include "tests/sim/scenario.h"

namespace intactkv::sim {
namespace {

std::string Tokens(const std::vector<TokenId>& tokens) {
  std::string text = std::to_string(tokens.size()) + " tokens [";
  for (size_t i = 0; i < tokens.size() && i < 3; ++i) text += std::to_string(tokens[i].value) + " ";
  return text + "...]";
}

std::string Text(const PinRequest& pin) {
  return "'" + pin.name + "' " + Tokens(pin.tokens) +
         (pin.owner.empty() ? "" : " of tenant " + pin.owner);
}

std::string Text(const SubmitEvent& submit) {
  constexpr const char* kStates[] = {
      "",        "queued",    "waiting",  "prefilling",  "decoding",  "preempted", "reserved",
      "sibling", "half done", "mid-step", "in callback", "replacing", "finished",  "scoring"};
  const GenerationRequest& request = submit.request;
  std::string text = "submit #" + std::to_string(submit.id) + " " + Tokens(request.prompt);
  if (submit.follows >= 0) text += " after #" + std::to_string(submit.follows);
  text += ", max " + std::to_string(request.max_new_tokens);
  if (request.score_prompt) text += ", scored";
  if (request.n > 1) text += ", n " + std::to_string(request.n);
  if (!request.tenant.empty()) text += ", tenant " + request.tenant;
  if (!request.cache_salt.empty()) text += ", salted";
  if (submit.time_limit != absl::InfiniteDuration()) {
    text += ", deadline in " + absl::FormatDuration(submit.time_limit);
  }
  if (submit.abort_in != AbortState::kNever) {
    text += std::string(", abort: ") + kStates[static_cast<size_t>(submit.abort_in)];
  }
  if (submit.read_interval != absl::ZeroDuration()) {
    text += ", reads every " + absl::FormatDuration(submit.read_interval);
  }
  return text;
}

std::string Text(const PinEvent& pin) { return "pin " + Text(pin.pin); }
std::string Text(const UnpinEvent& unpin) { return "unpin 'pin" + std::to_string(unpin.pin) + "'"; }
std::string Text(const ReplaceEvent& replace) {
  std::string text = "replace the model, vocabulary " + std::to_string(replace.vocab_size);
  for (const PinRequest& pin : replace.pins) text += ", " + Text(pin);
  return text;
}
std::string Text(const FaultEvent& fault) {
  constexpr const char* kPoints[] = {"a step fails",          "a value is not finite",
                                     "no build weights",      "a build step fails",
                                     "a build is not finite", "the clock jumps"};
  return std::string("fault: ") + kPoints[static_cast<size_t>(fault.point)] + " (" +
         std::to_string(fault.choice) + ")";
}
std::string Text(const DrainEvent& drain) {
  return "drain within " + absl::FormatDuration(drain.limit);
}

}  // namespace

std::string ToString(const Event& event) {
  return absl::FormatDuration(event.at) + "  " +
         std::visit([](const auto& what) { return Text(what); }, event.what);
}

std::string ToString(const Scenario& scenario) {
  const EngineCoreOptions& options = scenario.options;
  std::string text = "max_running " + std::to_string(options.max_running) +
                     ", max_tokens_per_step " + std::to_string(options.max_tokens_per_step) +
                     ", max_scored_rows " + std::to_string(options.max_scored_rows) +
                     ", max_queue " + std::to_string(options.max_queue) + ", blocks: pinned " +
                     std::to_string(options.num_pinned_blocks) + ", stored " +
                     std::to_string(options.num_stored_blocks) + ", prefix chunk " +
                     std::to_string(options.prefix_chunk_tokens) + ", prefix cache " +
                     (options.prefix_cache ? "on" : "off") + ", name bytes " +
                     std::to_string(options.prefix_name_bytes_for_test) + ", runtime pins " +
                     (options.runtime_pins ? "on" : "off") + "\n";
  for (const Event& event : scenario.events) text += "  " + ToString(event) + "\n";
  return text;
}

}  // namespace intactkv::sim
