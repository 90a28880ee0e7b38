// What a format of stored KV pages costs: its logits row by row against those of full-precision
// pages.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/base/ids.h"

namespace intactkv::golden {

class FormatCost {
 public:
  // `reference` and `served`: [vocab] raw logits of the same row; `next`: the id that the text
  // goes on with. O(vocab), in double precision.
  void AddRow(std::span<const float> reference, std::span<const float> served, TokenId next);

  int64_t num_rows() const { return num_rows_; }
  double mean_kl() const;             // KL(reference || served) in nats, over the whole vocabulary
  double top1_percent() const;        // rows whose likeliest id (the lowest of equals) is the same
  double perplexity_percent() const;  // of the text: change against the reference's
  std::string Summary() const;        // "3072 rows: mean KL 0.00002, ...", for logs

 private:
  int64_t num_rows_ = 0, num_agree_ = 0;
  double sum_kl_ = 0;
  double sum_log_ratio_ = 0;  // log p(next) of the reference less that of the served row
};

}  // namespace intactkv::golden
