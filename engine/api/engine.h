// The door: with text_codec.h, all that server/ may include of the engine. Tokens in, tokens out.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/ids.h"
#include "engine/base/sampling.h"

namespace intactkv {

class Executor;  // engine/sched/executor.h; only main hands one over

// One request, validated and tokenized. Immutable once submitted.
struct GenerationRequest {
  std::vector<TokenId> prompt;          // >= 1 token
  int32_t max_new_tokens = 16;          // >= 1
  int32_t min_new_tokens = 0;           // stop ids are forbidden before this many tokens
  bool ignore_eos = false;              // stop_token_ids do not stop
  std::vector<TokenId> stop_token_ids;  // the model's end ids and the request's own; the matching
                                        // token ends the sequence and is reported
  SamplingParams sampling;
  // Also the log probabilities of the prompt's tokens after its first, num_logprobs of the top
  // beside each; needs sampling.num_logprobs >= 0. All of the prompt is computed: no private hit.
  bool score_prompt = false;
  int32_t n = 1;           // choices; choice k draws with seed sampling.seed + k
  std::string tenant;      // "" without tenants
  std::string cache_salt;  // part of the prefix cache's anchor: equal salts share
  absl::Time deadline = absl::InfiniteFuture();
  int32_t priority = 0;    // carried; strict FCFS ignores it for now
  std::string request_id;  // the front end's name for it, for logs only; valid UTF-8; may be empty
};

enum class FinishReason : uint8_t { kNone, kStop, kLength, kCancelled, kError };

struct TokenEvent {
  int32_t choice = 0;
  // Not generated: with score_prompt, the prompt's second token, then its third, and so on, each
  // once, before choice 0's first token. They are choice 0's; another choice may be ahead of them.
  bool of_prompt = false;
  SampledToken token;
  FinishReason finish = FinishReason::kNone;  // other than kNone: this is the choice's last token
};

struct RequestUsage {
  int32_t prompt_tokens = 0;
  int32_t completion_tokens = 0;  // over all choices
  int32_t cached_tokens =
      0;  // prompt tokens not computed at first admission: pinned match c + 32 x private blocks hit
  int32_t pinned_tokens = 0;  // c
};

struct FinishInfo {
  absl::Status status;  // OK; kCancelled (the client's wish), kDeadlineExceeded, kInvalidArgument
                        // (can never fit), kInternal, kUnavailable
  RequestUsage usage;
  int32_t num_preemptions = 0;
  absl::Duration queue_time;   // Submit to first admission
  absl::Duration first_token;  // Submit to first token; InfiniteDuration if none
};

// Receives what happens to one request. Called on the engine thread: must return at once (post and
// leave), must not call back into the Engine. Destroyed on the engine thread after OnFinish.
class TokenSink {
 public:
  virtual ~TokenSink() = default;
  virtual void OnTokens(std::vector<TokenEvent> events) = 0;  // at most once per step
  virtual void OnFinish(const FinishInfo& info) = 0;          // exactly once, last
};

// Owns a running request: destroying it cancels what still runs; pages are back within one step.
// Thread-compatible.
class RequestHandle {
 public:
  RequestHandle() = default;
  explicit RequestHandle(std::function<void()> cancel, std::function<void()> stop = nullptr)
      : cancel_(std::move(cancel)), stop_(std::move(stop)) {}
  RequestHandle(RequestHandle&& o) noexcept
      : cancel_(std::exchange(o.cancel_, nullptr)), stop_(std::exchange(o.stop_, nullptr)) {}
  RequestHandle& operator=(RequestHandle&& o) noexcept {
    if (this != &o) {
      Cancel();
      cancel_ = std::exchange(o.cancel_, nullptr);
      stop_ = std::exchange(o.stop_, nullptr);
    }
    return *this;
  }
  ~RequestHandle() { Cancel(); }
  // Idempotent; after the request finished, or after Stop, it does nothing.
  void Cancel() {
    stop_ = nullptr;
    if (auto cancel = std::exchange(cancel_, nullptr)) cancel();
  }
  // As Cancel, but the answer is complete: it ends with OK and counts as kStop.
  void Stop() {
    const auto stop = std::exchange(stop_, nullptr);
    if (!stop) return Cancel();
    cancel_ = nullptr;
    stop();
  }

 private:
  std::function<void()> cancel_, stop_;
};

struct PinRequest {
  std::string name;             // for people and logs
  std::vector<TokenId> tokens;  // >= 1
  std::string owner;            // "" = any tenant may match
};

struct PrefixInfo {
  PrefixId id{0};
  std::string name;
  int32_t num_tokens = 0;
  int32_t num_blocks = 0;
  int64_t bytes = 0;
  int64_t num_matches = 0;  // requests that used at least one of its tokens
  std::string checksum;     // SHA-256 (hex) of the pinned pages' canonical bytes
};

// Counts by page class {pinned, stored, hot}: index = static_cast<int>(PageClass).
struct PageCounts {
  int32_t total = 0, free = 0, owned = 0, cached = 0, pinned = 0;
};

// Bucketed observations: counts[i] is the number of values <= bounds[i] and > bounds[i - 1]; the
// last count is the overflow.
struct Histogram {
  std::vector<double> bounds;
  std::vector<int64_t> counts;
  double sum = 0;
};

// A copy, at most one step old.
struct EngineStats {
  int64_t requests_accepted = 0, requests_rejected = 0;
  std::array<int64_t, 5> requests_finished{};  // by FinishReason
  int64_t prompt_tokens = 0, generated_tokens = 0, cached_tokens = 0, pinned_tokens = 0,
          computed_tokens = 0;
  int64_t prefix_queries_tokens = 0, prefix_hit_tokens = 0;  // prefix cache, pins excluded
  int64_t preemptions = 0, steps = 0, evicted_blocks = 0, clamped_values = 0,
          non_finite_requests = 0;
  int64_t step_failures = 0;  // steps that ended every request in them; the log has the cause
  int32_t running = 0, waiting = 0;
  std::array<PageCounts, 3> pages{};
  std::array<int32_t, 3>
      unaccounted_pages{};  // by the last audit: at rest, or at most 1,024 steps old
  int64_t full_precision_weight_bytes = 0;  // 0 while serving
  Histogram ttft_seconds, itl_seconds, queue_seconds, e2e_seconds, batch_rows;
  bool draining = false;
  // Since the engine thread last came round its loop, which it does many times a second, idle or
  // not: longer means that a step hangs. Zero without a thread.
  absl::Duration last_step_age;
};

// Ownership recomputed from scratch, per class: free + owned + cached + pinned + fenced == total,
// else `unaccounted` is the difference.
struct AuditReport {
  std::array<PageCounts, 3> pages{};
  std::array<int32_t, 3> unaccounted{};
  std::vector<std::string> problems;  // empty when all is well
  // From the ledger: events since start by name, and the last records, oldest first.
  std::vector<std::pair<std::string, int64_t>> ledger_totals;
  std::vector<std::string> recent;
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Queues a request. Thread-safe, never blocks. After OK, `sink` gets any number of OnTokens, then
  // exactly one OnFinish, whatever happens. Prefix match and the worst-case check happen when the
  // engine thread takes it, so their error comes as OnFinish. Errors: kInvalidArgument    empty
  // prompt, a token id outside the vocabulary, a sampling parameter out of range, prompt +
  // max_new_tokens > the context
  //         kResourceExhausted  queue full, retry later (HTTP 429)
  //         kUnavailable        draining (HTTP 503)
  virtual absl::StatusOr<RequestHandle> Submit(GenerationRequest request,
                                               std::unique_ptr<TokenSink> sink) = 0;

  // kResourceExhausted or kUnavailable if Submit would refuse any request now; counted as if it
  // had. For asking before a prompt is encoded. Thread-safe, never blocks.
  virtual absl::Status CheckAdmission() { return absl::OkStatus(); }

  // Builds a prefix with full-precision weights and pins it. Blocks until done; Thread-safe.
  // Errors: kFailedPrecondition after ready without --runtime-pins; kResourceExhausted pin budget;
  // kInvalidArgument tokens.
  virtual absl::StatusOr<PrefixInfo> Pin(PinRequest request) = 0;
  // Unpin: no new match; pages return when the last sequence that uses them ends. kNotFound.
  virtual absl::Status Unpin(PrefixId id) = 0;
  virtual std::vector<PrefixInfo> ListPrefixes() const = 0;

  // Swaps model and pins: admission stops, admitted sequences finish under the old epoch, then old
  // pins and prefix cache are dropped, `pins` are built, and requests never admitted are matched
  // again. Blocks until done.
  virtual absl::Status ReplaceModel(std::unique_ptr<Executor> executor,
                                    std::vector<PinRequest> pins) = 0;

  virtual EngineStats Stats() const = 0;            // Thread-safe
  virtual absl::StatusOr<AuditReport> Audit() = 0;  // runs between two steps; Thread-safe

  // Refuses new requests from now on; returns when nothing runs or `deadline` has come, when the
  // rest is cancelled. Thread-safe.
  virtual void Drain(absl::Time deadline) = 0;
};

}  // namespace intactkv
