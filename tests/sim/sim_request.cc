#include "tests/sim/sim_request.h"

#include <algorithm>
#include <utility>

#include "engine/base/page_entry.h"

namespace intactkv::sim {
namespace {

std::string Name(const SimRequest& request) {
  return "request #" + std::to_string(request.event.id) + " (c " + std::to_string(request.match.c) +
         ", epoch " + std::to_string(request.model.epoch) + ")";
}

bool Fits(const GenerationRequest& request, int32_t c, int32_t num_stored_blocks) {
  const auto written = static_cast<int64_t>(request.prompt.size()) + request.max_new_tokens - 1 - c;
  return BlocksFor(written) <= num_stored_blocks;
}

bool IsOutsideVocabulary(const SimRequest& request) {
  return std::ranges::any_of(request.event.request.prompt, [&](TokenId token) {
    return token.value >= request.model.vocab_size;
  });
}

void CheckComplete(const SimRequest& request, Findings& findings) {
  const GenerationRequest& asked = request.event.request;
  findings.Require(request.tokens == request.expected, "an answer is not complete");
  findings.Require(request.scores == request.expected_scores, "scores are not complete");
  for (size_t k = 0; k < request.tokens.size(); ++k) {
    const auto& stops = asked.stop_token_ids;
    const bool stop =
        !asked.ignore_eos && std::ranges::find(stops, request.tokens[k].back()) != stops.end();
    findings.Require(request.reasons[k] == (stop ? FinishReason::kStop : FinishReason::kLength),
                     "wrong finish reason");
  }
  // Whole blocks at most, and the page of the last token is computed anew.
  const RequestUsage& usage = request.info.usage;
  const auto prompt = static_cast<int32_t>(asked.prompt.size());
  const int32_t hits = usage.cached_tokens - request.match.c;
  findings.Require(usage.pinned_tokens == request.match.c, "usage: pinned tokens");
  findings.Require(hits >= 0 && hits % kPageTokens == 0 &&
                       hits / kPageTokens <= (prompt - 1 - request.match.c) / kPageTokens,
                   "usage: cached tokens");
  findings.Require(!asked.score_prompt || hits == 0, "usage: a hit in place of scores");
}

void CheckTimes(const SimRequest& request, Findings& findings) {
  const FinishInfo& info = request.info;
  const absl::Time admitted = request.admitted ? request.admitted_at : request.finished_at;
  findings.Require(info.queue_time == admitted - request.submitted, "queue time");
  const bool any = request.first_token != absl::InfiniteFuture();
  findings.Require(info.first_token ==
                       (any ? request.first_token - request.submitted : absl::InfiniteDuration()),
                   "time of the first token");
}

}  // namespace

int64_t SimRequest::num_received() const {
  int64_t n = 0;
  for (const auto& of_choice : tokens) n += static_cast<int64_t>(of_choice.size());
  return n;
}

bool SimRequest::some_choice_ended() const {
  return std::ranges::any_of(reasons, [](FinishReason r) { return r != FinishReason::kNone; });
}

void SimRequest::Admit(absl::Time now) {
  admitted = true;
  admitted_at = now;
  for (int32_t k = 0; k < event.request.n; ++k) {
    expected.push_back(OracleTokens(event.request, k, match.c, model));
  }
  if (event.request.score_prompt) expected_scores = OracleScores(event.request, match.c, model);
}

SimSink::~SimSink() {
  request_.sink_destroyed = true;
  findings_.Require(!request_.accepted || request_.finished(), "a sink dies before its OnFinish");
}

void SimSink::OnTokens(std::vector<TokenEvent> events) {
  findings_.Require(!events.empty(), "OnTokens without tokens");
  findings_.Require(!request_.finished(), "a token after OnFinish");
  if (request_.expected.empty()) return findings_.Add("a token before admission");
  for (const TokenEvent& event : events) {
    if (event.of_prompt) {
      TakeScore(event);
    } else {
      TakeToken(event);
    }
  }
  on_tokens_(request_);
}

// The next one, each once and in order: a score is a function of all tokens up to its own.
void SimSink::TakeScore(const TokenEvent& event) {
  std::vector<float>& got = request_.scores;
  const std::vector<float>& expected = request_.expected_scores;
  findings_.Require(event.choice == 0 && event.finish == FinishReason::kNone,
                    "a score of another choice, or one that ends it");
  if (got.size() >= expected.size()) return findings_.Add(Name(request_) + ": a score too many");
  const size_t at = got.size() + 1;
  findings_.Require(event.token.token == request_.event.request.prompt[at],
                    "a score of another token than the prompt's next");
  if (event.token.logprob != expected[at - 1]) {
    findings_.Add(Name(request_) + " prompt token " + std::to_string(at) + " scores " +
                  std::to_string(event.token.logprob) + ", the closed form says " +
                  std::to_string(expected[at - 1]));
  }
  got.push_back(event.token.logprob);
}

void SimSink::TakeToken(const TokenEvent& event) {
  const auto choice = static_cast<size_t>(event.choice);
  std::vector<TokenId>& got = request_.tokens[choice];
  const std::vector<TokenId>& expected = request_.expected[choice];
  findings_.Require(request_.reasons[choice] == FinishReason::kNone, "a token after the last one");
  findings_.Require(choice > 0 || request_.scores.size() == request_.expected_scores.size(),
                    "a token before the prompt's scores");
  if (got.size() >= expected.size() || expected[got.size()] != event.token.token) {
    findings_.Add(Name(request_) + " choice " + std::to_string(choice) + " token " +
                  std::to_string(got.size()) + " is " + std::to_string(event.token.token.value) +
                  ", not what the closed form says");
  }
  got.push_back(event.token.token);
  request_.reasons[choice] = event.finish;
  request_.first_token = std::min(request_.first_token, clock_.Now());
}

void SimSink::OnFinish(const FinishInfo& info) {
  if (++request_.num_finishes > 1) findings_.Add(Name(request_) + " finished twice");
  request_.info = info;
  request_.finished_at = clock_.Now();
}

void CheckEnd(const SimRequest& request, int32_t num_stored_blocks, Findings& findings) {
  const FinishInfo& info = request.info;
  const GenerationRequest& asked = request.event.request;
  const std::string end = Name(request) + " ended with " + info.status.ToString();
  const auto allow = [&](bool allowed) {
    if (!allowed) findings.Add(end);
  };
  switch (info.status.code()) {
    case absl::StatusCode::kOk:
      CheckComplete(request, findings);
      break;
    case absl::StatusCode::kCancelled:
      allow(request.cancelled);
      break;
    case absl::StatusCode::kDeadlineExceeded:
      allow(request.finished_at >= request.deadline);
      break;
    case absl::StatusCode::kInternal:
      allow(request.sick);
      break;
    case absl::StatusCode::kInvalidArgument:
      allow(!request.admitted &&
            (!Fits(asked, request.match.c, num_stored_blocks) ||
             !Fits(asked, request.old_match.c, num_stored_blocks) || IsOutsideVocabulary(request)));
      break;
    case absl::StatusCode::kUnavailable:
      allow(request.cut_short);
      break;
    default:
      allow(false);
  }
  if (info.usage.completion_tokens != request.num_received()) {
    findings.Add(end + ": usage counts " + std::to_string(info.usage.completion_tokens) +
                 " tokens, delivered were " + std::to_string(request.num_received()));
  }
  findings.Require(info.usage.prompt_tokens == static_cast<int32_t>(asked.prompt.size()),
                   "usage: prompt tokens");
  findings.Require(request.sink_destroyed, "a sink outlives its request");
  CheckTimes(request, findings);
}

}  // namespace intactkv::sim
