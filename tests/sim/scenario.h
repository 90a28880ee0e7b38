// A simulation as data: engine options and events in virtual time, made from one seed. Each subset
// of the events is a scenario too, so that a failing one can be shrunk.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "engine/core/engine_options.h"

namespace intactkv::sim {

// Safety: everything happens, every answer is checked. Liveness: a pool that the largest request
// nearly fills; after a while nothing harmful happens any more and everybody must get done in time.
enum class Mode : uint8_t { kSafety, kLiveness };

// Where a request is when its client gives it up.
enum class AbortState : uint8_t {
  kNever,
  kQueued,      // in the command queue
  kWaiting,     // taken, never admitted
  kPrefilling,  // running, before its first token
  kDecoding,    // running, with tokens
  kPreempted,   // admitted, and waiting to be computed again
  kReserved,    // running with its worst case reserved
  kSibling,     // n > 1: a choice waits for choice 0
  kHalfDone,    // n > 1: a choice has ended, another one has not
  kMidStep,     // while the executor computes it
  kInCallback,  // while its sink is told of a token
  kReplacing,   // while a model exchange waits
  kFinished,
  kScoring,  // running or preempted, with some of its prompt's scores and not all
};

struct SubmitEvent {
  int id = 0;  // other events name it
  GenerationRequest request;
  // >= 0: the prompt goes on from prompt and answer of this earlier request, or of the last one
  // before it that was answered at some length.
  int follows = -1;
  absl::Duration time_limit = absl::InfiniteDuration();
  AbortState abort_in = AbortState::kNever;
  absl::Duration read_interval;  // of one token; 0: the client reads at once
};
struct PinEvent {
  int id = 0;
  PinRequest pin;
};
struct UnpinEvent {
  int pin = 0;
};
struct ReplaceEvent {
  std::vector<PinRequest> pins;
  int32_t vocab_size = 0;  // of the new model
};
enum class FaultPoint : uint8_t {
  kStepFails,     // the device computes a step, then reports an error
  kNonFinite,     // one sequence of the next step meets a value that is no number
  kBuildFactory,  // no full-precision weights for the next prefix build
  kBuildStep,     // a step of the next prefix build fails
  kBuildNonFinite,
  kClockJump,
};
struct FaultEvent {
  FaultPoint point = FaultPoint::kStepFails;
  int choice = 0;  // which sequence of the step
};
struct DrainEvent {
  absl::Duration limit;
};

struct Event {
  absl::Duration at;  // events at 0 come before the engine is ready
  std::variant<SubmitEvent, PinEvent, UnpinEvent, ReplaceEvent, FaultEvent, DrainEvent> what;
};
std::string ToString(const Event& event);

struct Scenario {
  uint64_t seed = 0;
  Mode mode = Mode::kSafety;
  EngineCoreOptions options;
  int32_t vocab_size = 1'000;
  bool stop_early = false;    // stop the engine after the last event, whatever still runs
  std::vector<Event> events;  // by time
};
Scenario MakeScenario(uint64_t seed, Mode mode);
std::string ToString(const Scenario& scenario);

}  // namespace intactkv::sim
