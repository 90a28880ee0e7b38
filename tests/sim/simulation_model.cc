// What must hold, brought up to date with what the engine was told, command by command.
#include <algorithm>
#include <utility>

#include "engine/base/page_entry.h"
#include "tests/sim/simulation.h"

namespace intactkv::sim {

void Simulation::SyncCommands(size_t end) {
  while (synced_ < end) {
    Command& command = commands_[synced_++];
    std::visit([this](auto& which) { Sync(which); }, command);
  }
}

void Simulation::Sync(SubmitCommand& command) {
  command.request->taken = true;
  MatchAgain(*command.request);
  command.request->old_match = command.request->match;
}

void Simulation::Sync(PinCommand& command) {
  if (!command.result) return findings_.Add("a pin without an answer");
  const absl::StatusOr<PrefixInfo>& info = *command.result;
  const int32_t needed = BlocksFor(static_cast<int64_t>(command.pin.tokens.size()));
  const int32_t free = scenario_.options.num_pinned_blocks - pins_.BlocksHeld(Users());
  const bool failed_build = !std::exchange(fired_build_, {}).empty();
  auto expected = absl::StatusCode::kOk;
  if (ready_ && !scenario_.options.runtime_pins) {
    expected = absl::StatusCode::kFailedPrecondition;
  } else if (!IsValid(command.pin, served_.vocab_size)) {
    expected = absl::StatusCode::kInvalidArgument;
  } else if (needed > free) {
    expected = absl::StatusCode::kResourceExhausted;
    ++counts_[RarePath::kPinRefusedFull];
  } else if (failed_build) {
    expected = absl::StatusCode::kInternal;
    ++counts_[RarePath::kBuildFailed];
  }
  if (info.status().code() != expected) {
    return findings_.Add("Pin of " + command.pin.name + " answers " + info.status().ToString() +
                         "; free must be " + std::to_string(free));
  }
  if (!info.ok()) return;
  findings_.Require(info->num_blocks == needed, "blocks of a pin");
  pins_.Add(info->id, command.pin);
  pin_ids_[command.pin.name] = info->id;
}

void Simulation::Sync(UnpinCommand& command) {
  if (!command.result) return findings_.Add("an unpin without an answer");
  const bool there = pins_.Has(command.id);
  findings_.Require(
      command.result->code() == (there ? absl::StatusCode::kOk : absl::StatusCode::kNotFound),
      "answer to Unpin");
  const bool used = std::ranges::any_of(
      Users(), [&](const ModelMatch& match) { return match.pin == command.id.value; });
  if (there && used) ++counts_[RarePath::kPinRemovedInUse];
  pins_.Remove(command.id);
}

void Simulation::Sync(ReplaceCommand& command) {
  int32_t blocks = 0;
  bool valid = true;
  for (const PinRequest& pin : command.event.pins) {
    blocks += BlocksFor(static_cast<int64_t>(pin.tokens.size()));
    valid &= IsValid(pin, command.event.vocab_size);
  }
  auto expected = absl::StatusCode::kOk;
  if (replacing_) {
    expected = absl::StatusCode::kFailedPrecondition;
  } else if (!valid || blocks > scenario_.options.num_pinned_blocks) {
    expected = absl::StatusCode::kInvalidArgument;
  }
  const bool refused = command.result && engine_->epoch() == served_.epoch;
  if (expected != absl::StatusCode::kOk || refused) {
    findings_.Require(refused && command.result->code() == expected, "answer to ReplaceModel");
    return;
  }
  replacing_ = true;
  if (AnyAdmittedLives()) ++counts_[RarePath::kEpochWithWorkInFlight];
}

bool Simulation::IsValid(const PinRequest& pin, int32_t vocab_size) const {
  return std::ranges::all_of(pin.tokens, [=](TokenId t) { return t.value < vocab_size; });
}

bool Simulation::AnyAdmittedLives() const {
  return std::ranges::any_of(requests_,
                             [](const auto& r) { return r->admitted && !r->finished(); });
}

// Refused when it was taken from the queue, or done between two steps.
void Simulation::OnReplaced(size_t command, absl::Status status) {
  auto& replace = std::get<ReplaceCommand>(commands_[command]);
  replace.result = status;
  if (stopped_) return findings_.Require(!status.ok(), "exchanged while stopping");
  if (engine_->epoch() == served_.epoch) return SyncCommands(command + 1);
  SyncCommands(commands_.size());
  ApplyReplacement(replace.event, status);
}

void Simulation::ApplyReplacement(const ReplaceEvent& event, const absl::Status& status) {
  findings_.Require(replacing_, "a model exchange that nobody asked for");
  findings_.Require(!AnyAdmittedLives(), "exchanged under an admitted request");
  const PrefixCache* cache = engine_->scheduler().manager().prefix_cache();
  findings_.Require(cache == nullptr || cache->num_entries() == 0, "old blocks stay cached");
  replacing_ = false;
  served_ = {.epoch = served_.epoch + 1, .vocab_size = event.vocab_size};
  const auto failed = std::exchange(fired_build_, {}).size();
  findings_.Require(status.ok() == (failed == 0), "status of a model exchange");
  counts_[RarePath::kBuildFailed] += static_cast<int64_t>(failed);
  pins_.Clear();
  const std::vector<PrefixInfo> infos = engine_->ListPrefixes();
  findings_.Require(infos.size() + failed == event.pins.size(), "pins after a model exchange");
  for (const PrefixInfo& info : infos) {
    const auto pin = std::ranges::find(event.pins, info.name, &PinRequest::name);
    if (pin == event.pins.end()) return findings_.Add("an old pin after a model exchange");
    pins_.Add(info.id, *pin);
    pin_ids_[info.name] = info.id;
  }
  for (const auto& request : requests_) {
    if (!request->taken || request->admitted || request->finished_in_step > 0) continue;
    MatchAgain(*request);
    if (!request->finished()) ++counts_[RarePath::kEpochRematch];
  }
}

void Simulation::MatchAgain(SimRequest& request) {
  const GenerationRequest& asked = request.event.request;
  request.old_match = request.match;
  request.match = pins_.Match(asked.prompt, asked.tenant);
  request.model = served_;
}

void Simulation::NoteAdmissions() {
  for (const auto& [id, group] : engine_->scheduler().groups()) {
    SimRequest& request = *requests_.at(id.value);
    for (const Sequence& sequence : group.sequences) {
      by_sequence_[sequence.id.value] = &request;
      findings_.Require(sequence.num_pinned() == request.match.c, "c is not the longest match");
      findings_.Require(sequence.kv.pinned.prefix.value == request.match.pin, "the wrong pin");
    }
    if (!group.admitted || request.admitted) continue;
    request.Admit(clock_.Now());
    const Sequence& first = group.sequences.front();
    const int32_t beyond = first.num_computed - first.num_pinned();
    if (request.follows != nullptr && beyond > 0 &&
        first.num_computed > static_cast<int32_t>(request.follows->event.request.prompt.size())) {
      ++counts_[RarePath::kHitOnGenerated];
    }
  }
}

std::string Simulation::ShareKey(uint64_t sequence) const {
  const SimRequest& request = *by_sequence_.at(sequence);
  const GenerationRequest& asked = request.event.request;
  std::string key = asked.tenant + "/" + asked.cache_salt + "/" +
                    std::to_string(request.model.epoch) + "/" + std::to_string(request.match.c);
  for (int32_t i = 0; i < request.match.c; ++i) {
    key += "," + std::to_string(asked.prompt[static_cast<size_t>(i)].value);
  }
  return key;
}

std::vector<ModelMatch> Simulation::Users() const {
  std::vector<ModelMatch> users;
  for (const auto& request : requests_) {
    if (request->taken && !request->finished()) users.push_back(request->match);
  }
  return users;
}

}  // namespace intactkv::sim
