// Pins and the exchange of the model, between two steps.
#include <string>
#include <utility>

#include "engine/base/page_entry.h"
#include "engine/base/status_macros.h"
#include "engine/core/check_sampling.h"
#include "engine/core/check_tokens.h"
#include "engine/core/engine_core.h"

namespace intactkv {

absl::StatusOr<PrefixInfo> EngineCore::PinNow(const PinRequest& request) {
  if (ready_ && !options_.runtime_pins) {
    return FailedPrecondition("pins are made before the engine is ready (or with runtime pins)");
  }
  RETURN_IF_ERROR(pins_.Validate(request, vocab_size_));
  absl::StatusOr<PrefixInfo> info = pins_.Pin(request, *executor_);
  if (ready_) pins_.ReleaseFullPrecision();  // while serving they exist only during the build
  return info;
}

void EngineCore::StartReplacement(Replacement replacement) {
  absl::Status status;
  int64_t blocks = 0;
  for (const PinRequest& pin : replacement.pins) {
    if (status.ok()) status = pins_.Validate(pin, replacement.executor->vocab_size());
    blocks += BlocksFor(static_cast<int64_t>(pin.tokens.size()));
  }
  if (status.ok() && blocks > pins_.pool().num_blocks()) {
    status =
        InvalidArgument("the new pins need " + std::to_string(blocks) +
                        " blocks; the pin budget is " + std::to_string(pins_.pool().num_blocks()));
  }
  if (replacement_) status = FailedPrecondition("a model replacement is already under way");
  if (!status.ok()) {
    replacement.done(status);
    return;
  }
  replacement_ = std::move(replacement);
  scheduler_.PauseAdmission(true);
}

bool EngineCore::AdvanceReplacement() {
  if (!replacement_ || scheduler_.HasAdmittedWork()) return false;
  Replacement replacement = *std::move(replacement_);
  replacement_.reset();
  // Whoever still waits lets go of the old pins, so that their blocks are there for the new ones.
  for (const RequestId id : scheduler_.NeverAdmitted()) {
    (void)scheduler_.Rematch(id, PinnedMatch(), BlockHash{});
  }
  manager_.ClearPrefixCache();
  pins_.Clear();
  pins_.ReleaseFullPrecision();  // of the old model
  executor_ = std::move(replacement.executor);
  vocab_size_ = executor_->vocab_size();
  ++epoch_;
  const absl::Status status = PinAll(replacement.pins);
  RematchWaiting();
  scheduler_.PauseAdmission(false);
  PublishStats();
  replacement.done(status);
  return true;
}

absl::Status EngineCore::PinAll(const std::vector<PinRequest>& pins) {
  absl::Status first_error;
  for (const PinRequest& pin : pins) {
    const absl::StatusOr<PrefixInfo> info = pins_.Pin(pin, *executor_);
    if (!info.ok() && first_error.ok()) first_error = info.status();
  }
  if (ready_) pins_.ReleaseFullPrecision();
  return first_error;
}

void EngineCore::RematchWaiting() {
  for (const RequestId id : scheduler_.NeverAdmitted()) {
    const GenerationRequest& request = scheduler_.Find(id)->request;
    absl::Status status = CheckTokens(request.prompt, vocab_size_);
    if (status.ok()) status = CheckSampling(request.sampling, vocab_size_);
    PinnedMatch pinned;
    if (status.ok()) {
      const absl::StatusOr<BlockHash> anchor = MatchAndAnchor(request, pinned);
      status = anchor.ok() ? scheduler_.Rematch(id, pinned, *anchor) : anchor.status();
    }
    if (!status.ok()) Fail(id, status);
  }
}

}  // namespace intactkv
