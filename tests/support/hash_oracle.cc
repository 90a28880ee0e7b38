#include "tests/support/hash_oracle.h"

#include <algorithm>

#include "tests/support/hash_model.h"

namespace intactkv {
namespace {

// Reads positions as a row with match length c does: pinned values below c, stored values of whole
// earlier private pages, hot values of its own page.
class Reader {
 public:
  Reader(int32_t c, PageClass stored_class, const HashModel& model)
      : c_(c), stored_class_(stored_class), model_(model) {}

  // Context of the next position.
  uint64_t context() const {
    uint64_t context = before_;
    for (const uint64_t value : own_) context = hash_model::Read(context, value);
    return context;
  }
  void PushPinned(uint64_t value) { before_ = hash_model::Read(before_, value); }
  // Computes the next position; returns its hot value.
  uint64_t Push(TokenId token, int32_t position) {
    const uint64_t value = hash_model::HotValue(token, position, model_.epoch, context());
    own_.push_back(value);
    if ((position - c_) % kPageTokens == kPageTokens - 1) {
      for (const uint64_t v : own_) {
        before_ = hash_model::Read(before_, hash_model::StoredValue(v, stored_class_));
      }
      own_.clear();
    }
    return value;
  }

 private:
  const int32_t c_;
  const PageClass stored_class_;
  const HashModel& model_;
  uint64_t before_ = 0;
  std::vector<uint64_t> own_;
};

}  // namespace

int32_t OracleMatch(std::span<const TokenId> prompt,
                    const std::vector<std::vector<TokenId>>& pins) {
  int32_t best = 0;
  for (const auto& pin : pins) {
    const auto [a, b] = std::ranges::mismatch(prompt, pin);
    best = std::max(best, static_cast<int32_t>(a - prompt.begin()));
  }
  return std::min(best, static_cast<int32_t>(prompt.size()) - 1);
}

std::vector<TokenId> OracleTokens(const GenerationRequest& request, int32_t choice, int32_t c,
                                  const HashModel& model) {
  Reader full_precision(0, PageClass::kPinned, model);
  Reader serving(c, PageClass::kStored, model);
  std::vector<TokenId> generated;
  for (int32_t position = 0;; ++position) {
    const auto at = static_cast<size_t>(position);
    const size_t num_prompt = request.prompt.size();
    const TokenId token = at < num_prompt ? request.prompt[at] : generated[at - num_prompt];
    if (position < c) {
      const uint64_t hot = full_precision.Push(token, position);
      serving.PushPinned(hash_model::StoredValue(hot, PageClass::kPinned));
      continue;
    }
    const uint64_t context = serving.context();
    const uint64_t own = serving.Push(token, position);
    if (at + 1 < num_prompt) continue;
    SampleRow row;
    row.params = request.sampling;
    row.params.seed += static_cast<uint64_t>(choice);
    row.output_index = static_cast<int64_t>(generated.size());
    if (row.output_index < request.min_new_tokens) row.forbidden = request.stop_token_ids;
    generated.push_back(hash_model::Draw(context, own, row, model.vocab_size));
    const bool stop =
        !request.ignore_eos &&
        std::ranges::find(request.stop_token_ids, generated.back()) != request.stop_token_ids.end();
    if (stop || static_cast<int32_t>(generated.size()) == request.max_new_tokens) return generated;
  }
}

std::vector<float> OracleScores(const GenerationRequest& request, int32_t c,
                                const HashModel& model) {
  Reader full_precision(0, PageClass::kPinned, model);
  Reader serving(c, PageClass::kStored, model);
  std::vector<float> scores;
  for (int32_t position = 0; position + 1 < static_cast<int32_t>(request.prompt.size());
       ++position) {
    const auto at = static_cast<size_t>(position);
    const uint64_t context = serving.context();
    uint64_t own = 0;
    if (position < c) {
      own = hash_model::StoredValue(full_precision.Push(request.prompt[at], position),
                                    PageClass::kPinned);
      serving.PushPinned(own);
    } else {
      own = serving.Push(request.prompt[at], position);
    }
    scores.push_back(hash_model::Score(context, own, request.prompt[at + 1]));
  }
  return scores;
}

}  // namespace intactkv
