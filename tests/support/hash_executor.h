// An Executor whose KV slots hold hashes: the next token is a hash of every slot that the row reads
// through the plan, in order. One wrong, stale, foreign or missing slot changes every later token.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/sched/executor.h"

namespace intactkv {

// The pages of one class. Outlives executors, as a pinned pool outlives the full-precision weights.
// Starts out, and is poisoned, with values that no row ever writes.
class HashPages {
 public:
  using Page = std::array<uint64_t, kPageTokens>;
  explicit HashPages(int num_pages);
  Page& at(int32_t slot);  // CHECK: slot in range
  void Poison(int32_t slot);
  int size() const { return static_cast<int>(pages_.size()); }

 private:
  std::vector<Page> pages_;
};

// What tests inject and look at. Engine thread only.
struct HashFaults {
  std::set<SequenceId> non_finite;  // their next step yields non-finite values and writes garbage
  int fail_steps = 0;               // so many steps fail as a whole
};

struct HashExecutorOptions {
  std::shared_ptr<HashPages> pinned;  // may be null: no pins
  std::shared_ptr<HashPages> stored;
  int num_hot_slots = 1;
  uint64_t epoch = 0;
  int32_t vocab_size = 1'000;
  PageClass stored_class = PageClass::kStored;  // kPinned: a full-precision executor
  int64_t weight_bytes = 1;
};

// Checks the shape of each plan (kInvalidArgument, the rule named), so a scheduler that plans
// nonsense fails at once. Engine thread only.
class HashExecutor : public Executor {
 public:
  explicit HashExecutor(const HashExecutorOptions& options);
  // Full-precision executor over the serving pinned pool.
  static HashExecutorOptions FullPrecision(std::shared_ptr<HashPages> pinned, uint64_t epoch,
                                           int32_t vocab_size);

  absl::StatusOr<StepResult> Execute(const StepPlan& plan) override;
  int64_t weight_bytes() const override { return options_.weight_bytes; }
  int vocab_size() const override { return options_.vocab_size; }
  std::string PageChecksum(const std::vector<PageEntry>& entries) const override;

  HashFaults& faults() { return faults_; }
  HashPages& hot() { return hot_; }  // to poison slots that nobody holds
  int64_t num_rows() const { return num_rows_; }
  int64_t num_pinned_rows() const { return num_pinned_rows_; }  // computed for their logits only
  int max_batch() const { return max_batch_; }                  // most sequences in one step
  int64_t num_split_pages() const { return num_split_pages_; }  // chunks that ended inside a page

 private:
  absl::Status Check(const StepPlan& plan) const;
  absl::Status CheckSequence(const StepPlan& plan, size_t index) const;
  absl::Status CheckPromotions(const StepPlan& plan) const;
  void RunSequence(const StepPlan& plan, size_t index, StepResult& result);
  // Rows below c: each reads the pinned slots up to its own.
  void RunPinnedRows(const StepPlan& plan, size_t index, StepResult& result);
  void AddToken(const StepPlan& plan, uint64_t context, uint64_t own, StepResult& result) const;
  absl::Status CheckPinnedRows(const StepPlan& plan, const PlanSequence& sequence) const;
  uint64_t ReadContext(const StepPlan& plan, const PlanSequence& sequence, int32_t position,
                       const HashPages::Page& own) const;
  void Promote(const StepPlan& plan, size_t index, int32_t private_position,
               const HashPages::Page& own);

  const HashExecutorOptions options_;
  HashPages hot_;
  HashFaults faults_;
  int64_t num_rows_ = 0;
  int64_t num_pinned_rows_ = 0;
  int64_t num_split_pages_ = 0;
  int max_batch_ = 0;
};

}  // namespace intactkv
