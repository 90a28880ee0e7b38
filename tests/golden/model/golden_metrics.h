// How far one row of served logits is from the reference's record of that row. Pure functions.
#pragma once

#include <span>

#include "engine/base/ids.h"
#include "tests/golden/model/reference_file.h"

namespace intactkv::golden {

// Of [vocab_size] finite logits, in double precision.
double LogSumExp(std::span<const float> logits);

// A row with any value that is not finite has finite == false, every distance infinite and
// argmax -1.
struct RowDistance {
  bool finite = false;
  double logit = 0;      // largest |served - reference| over the stored ids / max |reference logit|
  double logsumexp = 0;  // |served - reference| logsumexp / max |reference logit|
  TokenId argmax{-1};    // of the served row; the lowest id wins a tie
  // KL(reference || served) in nats, in double precision, over num_top + 1 cells: the reference's
  // top ids, and all other ids as one. Rounding of the recorded logsumexp alone moves it by <=
  // 2e-6.
  double kl = 0;
};

// `logits`: [vocab_size] raw logits of the row. O(vocab).
RowDistance CompareRow(std::span<const TokenId> fixed_ids, const ReferencePosition& reference,
                       std::span<const float> logits);

}  // namespace intactkv::golden
