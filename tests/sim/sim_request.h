// One request of a simulation: what it asked, what it must get, what it got.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/api/engine.h"
#include "engine/core/clock.h"
#include "engine/sched/sequence.h"
#include "tests/sim/findings.h"
#include "tests/sim/prefix_model.h"
#include "tests/sim/scenario.h"
#include "tests/support/hash_oracle.h"

namespace intactkv::sim {

struct SimRequest {
  SubmitEvent event;                    // the prompt is filled in
  RequestId id{0};                      // in order of acceptance
  const SimRequest* follows = nullptr;  // whose prompt and answer its prompt begins with
  RequestHandle handle;
  absl::Time submitted, deadline = absl::InfiniteFuture();

  // Must. Fixed when the engine takes the request, anew when the model changes before admission.
  bool accepted = false, taken = false, admitted = false;
  ModelMatch match, old_match;
  HashModel model;
  std::vector<std::vector<TokenId>> expected;  // by choice, from admission on
  std::vector<float> expected_scores;          // of the prompt's tokens after its first

  // Did.
  std::vector<std::vector<TokenId>> tokens;  // by choice
  std::vector<float> scores;                 // of the prompt, in the order in which they came
  std::vector<FinishReason> reasons;         // by choice, of its last token
  int num_finishes = 0;
  bool sink_destroyed = false;
  FinishInfo info;
  absl::Time first_token = absl::InfiniteFuture(), admitted_at, finished_at;
  int64_t arrived_in_step = 0, finished_in_step = 0;

  // What was done to it.
  bool cancelled = false, abort_done = false;
  int64_t cancelled_in_step = 0;
  bool sick = false;  // a step that failed or was not finite held it
  bool cut_short = false;

  // The client reads slowly.
  int64_t num_read = 0;
  absl::Time next_read = absl::InfinitePast(), last_progress;

  bool finished() const { return num_finishes > 0; }
  int64_t num_received() const;
  bool some_choice_ended() const;
  // Has some of the scores that it waits for, and not all.
  bool is_being_scored() const {
    return !scores.empty() && scores.size() < event.request.prompt.size() - 1;
  }
  // Fixes the answers. The request is admitted now.
  void Admit(absl::Time now);
};

// Checks each token as it comes.
class SimSink : public TokenSink {
 public:
  // `on_tokens` is called after each delivery. All must outlive the sink.
  SimSink(SimRequest& request, const Clock& clock, Findings& findings,
          std::function<void(SimRequest&)> on_tokens)
      : request_(request), clock_(clock), findings_(findings), on_tokens_(std::move(on_tokens)) {}
  ~SimSink() override;
  void OnTokens(std::vector<TokenEvent> events) override;
  void OnFinish(const FinishInfo& info) override;

 private:
  void TakeScore(const TokenEvent& event);
  void TakeToken(const TokenEvent& event);

  SimRequest& request_;
  const Clock& clock_;
  Findings& findings_;
  const std::function<void(SimRequest&)> on_tokens_;
};

// Whether a finished request had the right to end as it did; `num_stored_blocks` is the pool.
void CheckEnd(const SimRequest& request, int32_t num_stored_blocks, Findings& findings);

}  // namespace intactkv::sim
