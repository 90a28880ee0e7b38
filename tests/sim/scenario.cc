#include "tests/sim/scenario.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/page_entry.h"
#include "engine/base/rng.h"

namespace intactkv::sim {
namespace {

constexpr int kStemTokens = 140;
constexpr int kNumStems = 4;  // 2 and 3 leave 0 and 1 somewhere
constexpr int kSafetyEvents = 56;
constexpr int kLivenessEvents = 30;
// Of the requests. Only a long scoring is preempted, and not often: more of them where it can be.
constexpr uint64_t kScoredPercent = 8, kScoredPercentSqueezed = 40;

class Maker {
 public:
  Maker(uint64_t seed, Mode mode)
      : rng_(Mix64(seed) + static_cast<uint64_t>(mode)),
        score_rng_(Mix64(~seed) + static_cast<uint64_t>(mode)) {
    out_.seed = seed;
    out_.mode = mode;
    tight_ = Chance(2);
    squeeze_ = tight_ && mode == Mode::kSafety && Chance(2);
  }

  Scenario Make() {
    MakeOptions();
    MakeStems();
    for (uint64_t i = rng_.Below(3); i > 0; --i) AddPin();
    gap_ = absl::Microseconds(500 + 500 * static_cast<int>(rng_.Below(tight_ ? 10 : 20)));
    now_ = absl::Milliseconds(1);
    const int count = liveness() ? kLivenessEvents : kSafetyEvents;
    for (int i = 0; i < count; ++i) {
      AddSomething(i < count / 3 || !liveness());  // liveness: then all is healed
      if (!Chance(6)) now_ += gap_ * (2 * rng_.Unit());
    }
    if (!liveness() && Chance(5)) Add(DrainEvent{absl::Milliseconds(rng_.Below(60))});
    out_.stop_early = !liveness() && Chance(10);
    if (liveness()) FitPool();
    return std::move(out_);
  }

 private:
  bool liveness() const { return out_.mode == Mode::kLiveness; }
  bool Chance(uint64_t one_in) { return rng_.Below(one_in) == 0; }
  int32_t Between(int32_t low, int32_t high) {
    return low + static_cast<int32_t>(rng_.Below(static_cast<uint64_t>(high - low + 1)));
  }
  void Add(decltype(Event::what) what) { out_.events.push_back({now_, std::move(what)}); }

  void MakeOptions() {
    EngineCoreOptions& options = out_.options;
    options.model_identity = "hash";
    options.max_running = Between(1, 6);
    options.max_tokens_per_step = Chance(8) ? Between(1, 8) : Between(16, 110);
    options.max_scored_rows = 1 + static_cast<int32_t>(score_rng_.Below(squeeze_ ? 8 : 40));
    options.max_queue = Chance(5) ? Between(2, 6) : 64;
    options.num_pinned_blocks = Between(5, 12);
    options.num_stored_blocks = tight_ ? Between(6, 9) : Between(8, 20);
    options.block_bytes = {100, 10, 200};
    options.prefix_chunk_tokens = Between(1, 70);
    options.prefix_cache = !Chance(6);
    options.runtime_pins = !Chance(8);
    options.log_requests = false;
    if (Chance(3)) options.prefix_name_bytes_for_test = 1;
    if (tight_) options.max_running = Between(3, 6);
    if (squeeze_) options.num_stored_blocks = Between(5, 7);
    if (squeeze_) options.max_tokens_per_step = Between(40, 110);
  }

  std::vector<TokenId> RandomTokens(int count) {
    std::vector<TokenId> tokens;
    for (int i = 0; i < count; ++i) tokens.emplace_back(Between(0, out_.vocab_size - 1));
    return tokens;
  }

  void MakeStems() {
    for (int i = 0; i < kNumStems; ++i) {
      stems_[static_cast<size_t>(i)] = RandomTokens(kStemTokens);
      if (i < 2) continue;
      const auto& parent = stems_[static_cast<size_t>(i - 2)];
      std::copy_n(parent.begin(), Length(100), stems_[static_cast<size_t>(i)].begin());
    }
    for (int32_t& length : system_length_) length = Length(60);
    question_ = RandomTokens(kStemTokens);
  }

  // In [1, max]; often at or beside the edge of a page.
  int32_t Length(int32_t max) {
    if (Chance(3)) {
      const int32_t edge = kPageTokens * Between(1, std::max(1, max / kPageTokens));
      return std::clamp(edge + Between(-1, 1), 1, max);
    }
    return Between(1, max);
  }

  std::vector<TokenId> Prompt(int32_t min_length = 1) {
    const size_t which = rng_.Below(kNumStems);
    const std::vector<TokenId>& stem = stems_[which];
    if (Chance(4)) return Question(which, std::max(34, Length(80)));
    std::vector<TokenId> prompt(stem.begin(), stem.begin() + std::max(min_length, Length(110)));
    if (Chance(2)) {
      const std::vector<TokenId> tail = RandomTokens(Between(1, 8));
      prompt.insert(prompt.end(), tail.begin(), tail.end());
    }
    return prompt;
  }

  // The same question behind different system prompts: equal private tokens, unequal pins.
  std::vector<TokenId> Question(size_t stem, int32_t length) {
    std::vector<TokenId> prompt(stems_[stem].begin(), stems_[stem].begin() + system_length_[stem]);
    prompt.insert(prompt.end(), question_.begin(), question_.begin() + length);
    return prompt;
  }

  std::string Tenant() { return Chance(4) ? (Chance(2) ? "a" : "b") : ""; }

  PinRequest RandomPin() {
    const int id = next_pin_++;
    std::vector<TokenId> tokens = Chance(2) ? Question(rng_.Below(kNumStems), 0) : Prompt();
    return {.name = "pin" + std::to_string(id), .tokens = std::move(tokens), .owner = Tenant()};
  }
  void AddPin() {
    const int id = next_pin_;
    Add(PinEvent{id, RandomPin()});
  }

  void AddSomething(bool harmful) {
    const uint64_t dice = rng_.Below(100);
    if (dice < 72 || !harmful) return AddSubmit(harmful);
    if (dice < 77) return AddPin();
    if (dice < 83) return Add(UnpinEvent{Between(0, std::max(0, next_pin_ - 1))});
    if (dice < 88) return AddReplace();
    AddFault();
  }

  void AddReplace() {
    ReplaceEvent replace{.pins = {}, .vocab_size = Chance(4) ? 997 : out_.vocab_size};
    for (uint64_t i = rng_.Below(3); i > 0; --i) replace.pins.push_back(RandomPin());
    Add(std::move(replace));
  }

  void AddFault() {
    constexpr FaultPoint kPoints[] = {
        FaultPoint::kNonFinite,    FaultPoint::kNonFinite, FaultPoint::kStepFails,
        FaultPoint::kBuildFactory, FaultPoint::kBuildStep, FaultPoint::kBuildNonFinite,
        FaultPoint::kClockJump,
    };
    const FaultPoint point = kPoints[rng_.Below(std::size(kPoints))];
    if (point == FaultPoint::kClockJump && !Chance(3)) return AddSubmit(true);
    Add(FaultEvent{.point = point, .choice = Between(0, 5)});
    const bool build = point == FaultPoint::kBuildFactory || point == FaultPoint::kBuildStep ||
                       point == FaultPoint::kBuildNonFinite;
    if (build) AddPin();
  }

  void AddSubmit(bool harmful) {
    SubmitEvent submit;
    submit.id = next_submit_++;
    if (harmful && Chance(2)) submit.abort_in = static_cast<AbortState>(Between(1, 12));
    if (squeeze_ && Chance(2)) {
      submit.abort_in = Chance(3) ? AbortState::kPreempted : AbortState::kReserved;
    }
    const bool choices = submit.abort_in == AbortState::kSibling ||
                         submit.abort_in == AbortState::kHalfDone || Chance(6);
    GenerationRequest& request = submit.request;
    request.prompt = Prompt(submit.abort_in == AbortState::kSibling ? 70 : 1);
    if (submit.id > 0 && Chance(4)) {
      submit.follows = Between(0, submit.id - 1);
      request.prompt = RandomTokens(Between(1, 6));
    }
    request.max_new_tokens = Length(tight_ ? 60 : 40);
    if (squeeze_) LengthenAnswer(request);
    if (harmful && Chance(30)) request.max_new_tokens = Between(500, 900);
    request.min_new_tokens = Chance(2) ? 0 : request.max_new_tokens / 2;
    request.stop_token_ids = RandomTokens(10);
    request.ignore_eos = squeeze_ || Chance(3);
    request.sampling.temperature = static_cast<float>(Between(0, 1));
    request.sampling.seed = rng_();
    request.n = choices ? Between(2, 4) : 1;
    request.tenant = Tenant();
    request.cache_salt = Chance(5) ? "salt" : "";
    if (harmful && !squeeze_ && Chance(8)) {
      submit.time_limit = absl::Milliseconds(Between(1, 60));
    }
    if (harmful && Chance(8)) submit.read_interval = absl::Milliseconds(Between(1, 40));
    const uint64_t scored_percent = squeeze_ ? kScoredPercentSqueezed : kScoredPercent;
    if (score_rng_.Below(100) < scored_percent) ScorePrompt(submit, harmful);
    Add(std::move(submit));
  }

  void ScorePrompt(SubmitEvent& submit, bool harmful) {
    GenerationRequest& request = submit.request;
    request.score_prompt = true;
    request.sampling.num_logprobs = static_cast<int32_t>(score_rng_.Below(3));
    if (score_rng_.Below(squeeze_ ? 6 : 3) == 0) {
      request.max_new_tokens = 1;  // the scores alone: the engine generates at least one token
      request.min_new_tokens = 0;
    }
    if (harmful && !squeeze_ && score_rng_.Below(4) == 0) submit.abort_in = AbortState::kScoring;
  }

  // Short prompts that everybody can start with, and answers that together cannot fit.
  void LengthenAnswer(GenerationRequest& request) {
    if (request.prompt.size() > 60) request.prompt.resize(60);
    request.max_new_tokens = Between(50, 90);
  }

  // Liveness: between 1.0 and 1.2 times the largest request.
  void FitPool() {
    int32_t largest = 1;
    for (const Event& event : out_.events) {
      const auto* submit = std::get_if<SubmitEvent>(&event.what);
      if (submit == nullptr || submit->follows >= 0 || submit->request.max_new_tokens > 100) {
        continue;
      }
      const GenerationRequest& request = submit->request;
      largest = std::max(largest, BlocksFor(static_cast<int64_t>(request.prompt.size()) +
                                            request.max_new_tokens - 1));
    }
    out_.options.num_stored_blocks = largest + Between(0, largest / 5);
  }

  Rng rng_;
  Rng score_rng_;  // what has to do with scores, so that the rest is drawn as it always was
  Scenario out_;
  bool tight_ = false;    // a small pool
  bool squeeze_ = false;  // much preemption
  std::array<std::vector<TokenId>, kNumStems> stems_;
  std::array<int32_t, kNumStems> system_length_{};
  std::vector<TokenId> question_;
  absl::Duration now_, gap_;
  int next_submit_ = 0, next_pin_ = 0;
};

}  // namespace

Scenario MakeScenario(uint64_t seed, Mode mode) { return Maker(seed, mode).Make(); }

}  // namespace intactkv::sim
