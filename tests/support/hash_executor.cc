#include "tests/support/hash_executor.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "tests/support/hash_model.h"

namespace intactkv {
namespace {

constexpr uint64_t kPoison = 0xdeadbeefdeadbeefull;

int32_t EndOf(const StepPlan& plan, const PlanSequence& sequence) {
  return plan.rows[static_cast<size_t>(sequence.first_row + sequence.num_rows - 1)].position + 1;
}

absl::Status Broken(const PlanSequence& sequence, const std::string& rule) {
  return InvalidArgument("sequence " + std::to_string(sequence.id.value) + ": " + rule);
}

}  // namespace

HashPages::HashPages(int num_pages) : pages_(static_cast<size_t>(num_pages)) {
  for (int32_t i = 0; i < num_pages; ++i) Poison(i);
}

HashPages::Page& HashPages::at(int32_t slot) {
  CHECK(slot >= 0 && slot < size()) << "slot " << slot << " of " << size();
  return pages_[static_cast<size_t>(slot)];
}

void HashPages::Poison(int32_t slot) {
  for (size_t i = 0; i < kPageTokens; ++i) {
    at(slot)[i] = Mix64(kPoison ^ (static_cast<uint64_t>(slot) << 8) ^ i);
  }
}

HashExecutor::HashExecutor(const HashExecutorOptions& options)
    : options_(options), hot_(options.num_hot_slots) {
  CHECK(options_.stored != nullptr);
}

HashExecutorOptions HashExecutor::FullPrecision(std::shared_ptr<HashPages> pinned, uint64_t epoch,
                                                int32_t vocab_size) {
  HashExecutorOptions options;
  options.stored = std::move(pinned);
  options.epoch = epoch;
  options.vocab_size = vocab_size;
  options.stored_class = PageClass::kPinned;
  options.weight_bytes = 4;
  return options;
}

absl::StatusOr<StepResult> HashExecutor::Execute(const StepPlan& plan) {
  RETURN_IF_ERROR(Check(plan));
  StepResult result;
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    if (plan.sequences[i].append) {
      RunSequence(plan, i, result);
    } else {
      RunPinnedRows(plan, i, result);
    }
  }
  num_rows_ += static_cast<int64_t>(plan.rows.size());
  max_batch_ = std::max(max_batch_, static_cast<int>(plan.sequences.size()));
  if (faults_.fail_steps > 0) {
    --faults_.fail_steps;
    return Internal("injected: the device is lost");
  }
  return result;
}

void HashExecutor::RunSequence(const StepPlan& plan, size_t index, StepResult& result) {
  const PlanSequence& sequence = plan.sequences[index];
  const bool sick = faults_.non_finite.erase(sequence.id) > 0;
  HashPages::Page own = hot_.at(sequence.hot_slot);  // the page open before this chunk
  for (int32_t i = 0; i < sequence.num_rows; ++i) {
    const PlanRow& row = plan.rows[static_cast<size_t>(sequence.first_row + i)];
    const int32_t at = row.position - sequence.num_pinned_tokens;
    const auto lane = static_cast<size_t>(at % kPageTokens);
    const uint64_t context = ReadContext(plan, sequence, row.position, own);
    own[lane] = hash_model::HotValue(row.token, row.position, options_.epoch, context);
    if (sick) own[lane] = Mix64(own[lane]);
    if (row.wants_logits) AddToken(plan, context, own[lane], result);
    Promote(plan, index, at, own);
  }
  num_split_pages_ += (EndOf(plan, sequence) - sequence.num_pinned_tokens) % kPageTokens != 0;
  hot_.at(sequence.hot_slot) = own;
  result.sequences.push_back({.non_finite = sick});
}

void HashExecutor::RunPinnedRows(const StepPlan& plan, size_t index, StepResult& result) {
  const PlanSequence& sequence = plan.sequences[index];
  num_pinned_rows_ += sequence.num_rows;
  uint64_t context = 0;
  const int32_t end = EndOf(plan, sequence);
  for (int32_t position = 0; position < end; ++position) {
    const auto entry = plan.pinned_entries[static_cast<size_t>(sequence.pinned_begin) +
                                           static_cast<size_t>(position / kPageTokens)];
    const uint64_t own =
        options_.pinned->at(entry.slot())[static_cast<size_t>(position % kPageTokens)];
    if (position >= end - sequence.num_rows) AddToken(plan, context, own, result);
    context = hash_model::Read(context, own);
  }
  result.sequences.push_back({.non_finite = faults_.non_finite.erase(sequence.id) > 0});
}

void HashExecutor::AddToken(const StepPlan& plan, uint64_t context, uint64_t own,
                            StepResult& result) const {
  const SampleRow& sample = plan.samples[result.tokens.size()];
  SampledToken token;
  if (sample.scored) {
    token.token = *sample.scored;
    token.logprob = hash_model::Score(context, own, token.token);
  } else {
    token.token = hash_model::Draw(context, own, sample, options_.vocab_size);
  }
  result.tokens.push_back(std::move(token));
}

uint64_t HashExecutor::ReadContext(const StepPlan& plan, const PlanSequence& sequence,
                                   int32_t position, const HashPages::Page& own) const {
  uint64_t context = 0;
  const auto read = [&context](const HashPages::Page& page, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      context = hash_model::Read(context, page[static_cast<size_t>(i)]);
    }
  };
  const int32_t c = sequence.num_pinned_tokens;
  for (int32_t i = 0; i < BlocksFor(c); ++i) {
    const auto entry = plan.pinned_entries[static_cast<size_t>(sequence.pinned_begin + i)];
    read(options_.pinned->at(entry.slot()), std::min(c - i * kPageTokens, kPageTokens));
  }
  const int32_t own_page = (position - c) / kPageTokens;
  for (int32_t i = 0; i < own_page; ++i) {
    const auto entry = plan.stored_entries[static_cast<size_t>(sequence.stored_begin + i)];
    read(options_.stored->at(entry.slot()), kPageTokens);
  }
  read(own, (position - c) % kPageTokens);
  return context;
}

// Writes the page if the plan promotes it and its last valid lane was just computed: only the
// promotions of the plan store anything.
void HashExecutor::Promote(const StepPlan& plan, size_t index, int32_t private_position,
                           const HashPages::Page& own) {
  const PlanSequence& sequence = plan.sequences[index];
  for (const PlanPromotion& promotion : plan.promotions) {
    const int32_t last_valid = promotion.block * kPageTokens + promotion.num_valid - 1;
    if (promotion.sequence != static_cast<int32_t>(index) || private_position != last_valid) {
      continue;
    }
    const auto entry =
        plan.stored_entries[static_cast<size_t>(sequence.stored_begin + promotion.block)];
    HashPages::Page& page = options_.stored->at(entry.slot());
    for (int32_t i = 0; i < kPageTokens; ++i) {
      const auto lane = static_cast<size_t>(i);
      page[lane] =
          i < promotion.num_valid ? hash_model::StoredValue(own[lane], options_.stored_class) : 0;
    }
  }
}

absl::Status HashExecutor::Check(const StepPlan& plan) const {
  std::set<int32_t> hot_slots;
  int32_t next_row = 0;
  size_t num_logits = 0;
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    const PlanSequence& sequence = plan.sequences[i];
    if (sequence.first_row != next_row) return Broken(sequence, "rows are not consecutive");
    next_row += sequence.num_rows;
    if (sequence.append && !hot_slots.insert(sequence.hot_slot).second)
      return Broken(sequence, "shared hot slot");
    RETURN_IF_ERROR(CheckSequence(plan, i));
  }
  for (const PlanRow& row : plan.rows) num_logits += row.wants_logits ? 1 : 0;
  if (static_cast<size_t>(next_row) != plan.rows.size()) return InvalidArgument("rows of nobody");
  if (num_logits != plan.samples.size()) return InvalidArgument("samples and logits rows differ");
  return CheckPromotions(plan);
}

absl::Status HashExecutor::CheckSequence(const StepPlan& plan, size_t index) const {
  const PlanSequence& sequence = plan.sequences[index];
  if (sequence.num_rows < 1) return Broken(sequence, "no rows");
  const auto rows = plan.rows.begin() + sequence.first_row;
  for (int32_t i = 0; i < sequence.num_rows; ++i) {
    if (rows[i].position != rows[0].position + i) return Broken(sequence, "positions jump");
    if (rows[i].token.value < 0 || rows[i].token.value >= options_.vocab_size) {
      return Broken(sequence, "token outside the vocabulary");
    }
  }
  if (!sequence.append) return CheckPinnedRows(plan, sequence);
  const int32_t c = sequence.num_pinned_tokens;
  if (rows[0].position < c) return Broken(sequence, "a row below c");
  if (sequence.num_stored != BlocksFor(EndOf(plan, sequence) - c)) {
    return Broken(sequence, "num_stored is not the number of opened blocks");
  }
  std::set<int32_t> slots;
  for (int32_t i = 0; i < sequence.num_stored; ++i) {
    const auto entry = plan.stored_entries[static_cast<size_t>(sequence.stored_begin + i)];
    if (entry.page_class() != PageClass::kStored) return Broken(sequence, "class of stored entry");
    if (!slots.insert(entry.slot()).second) return Broken(sequence, "a block twice in its table");
  }
  for (int32_t i = 0; i < BlocksFor(c); ++i) {
    const auto entry = plan.pinned_entries[static_cast<size_t>(sequence.pinned_begin + i)];
    if (entry.page_class() != PageClass::kPinned) return Broken(sequence, "class of pinned entry");
  }
  return absl::OkStatus();
}

absl::Status HashExecutor::CheckPinnedRows(const StepPlan& plan,
                                           const PlanSequence& sequence) const {
  if (EndOf(plan, sequence) > sequence.num_pinned_tokens) {
    return Broken(sequence, "a row that does not append at or above c");
  }
  for (int32_t i = 0; i < sequence.num_rows; ++i) {
    if (!plan.rows[static_cast<size_t>(sequence.first_row + i)].wants_logits) {
      return Broken(sequence, "a row that neither appends nor wants logits");
    }
  }
  return absl::OkStatus();
}

absl::Status HashExecutor::CheckPromotions(const StepPlan& plan) const {
  std::set<std::pair<int32_t, int32_t>> wanted;
  std::set<int32_t> written;
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    const PlanSequence& sequence = plan.sequences[i];
    if (!sequence.append) continue;
    const int32_t end = EndOf(plan, sequence) - sequence.num_pinned_tokens;
    const int32_t begin = end - sequence.num_rows;
    for (int32_t block = begin / kPageTokens; block < end / kPageTokens; ++block) {
      wanted.emplace(static_cast<int32_t>(i), block);
    }
  }
  for (const PlanPromotion& promotion : plan.promotions) {
    const PlanSequence& sequence = plan.sequences[static_cast<size_t>(promotion.sequence)];
    const auto entry =
        plan.stored_entries[static_cast<size_t>(sequence.stored_begin + promotion.block)];
    if (!written.insert(entry.slot()).second) return Broken(sequence, "two write one page");
    if (promotion.num_valid == kPageTokens) {
      if (wanted.erase({promotion.sequence, promotion.block}) == 0) {
        return Broken(sequence, "promotes a page that this step does not fill");
      }
    } else if (options_.stored_class != PageClass::kPinned) {
      return Broken(sequence, "stores a partial page outside a prefix build");
    }
  }
  if (!wanted.empty()) return InvalidArgument("a filled page is not promoted");
  return absl::OkStatus();
}

std::string HashExecutor::PageChecksum(const std::vector<PageEntry>& entries) const {
  uint64_t sum = 0;
  for (const PageEntry entry : entries) {
    const bool pinned = entry.page_class() == PageClass::kPinned;
    const HashPages::Page& page = (pinned ? options_.pinned : options_.stored)->at(entry.slot());
    for (const uint64_t value : page) sum = hash_model::Read(sum, value);
  }
  return std::to_string(sum);
}

}  // namespace intactkv
