// The arithmetic that HashExecutor and its oracle share: what a KV slot holds, how a row reads
// slots, how a token is drawn. No pages, blocks or plans here.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/ids.h"
#include "engine/base/page_entry.h"
#include "engine/base/rng.h"
#include "engine/base/sampling.h"

namespace intactkv::hash_model {

// One reading step: `context` after the slot `value` was read. Order matters.
constexpr uint64_t Read(uint64_t context, uint64_t value) {
  return Mix64(context * 0x9e3779b97f4a7c15ull + value);
}

// K and V of `token` at absolute `position`, made by a row that had read `context`. Like real KV it
// depends on all that the row read. Full precision, as in a hot page.
constexpr uint64_t HotValue(TokenId token, int32_t position, uint64_t epoch, uint64_t context) {
  return Mix64(
      Read(Read(Read(context, static_cast<uint64_t>(token.value)), static_cast<uint64_t>(position)),
           epoch));
}

// The same after its page was written to class `cls` (kPinned or kStored).
constexpr uint64_t StoredValue(uint64_t hot_value, PageClass cls) {
  return Mix64(hot_value ^ (0x1234567ull * (1 + static_cast<uint64_t>(cls))));
}

// The token after a row that read `context` and wrote `own`.
inline TokenId Draw(uint64_t context, uint64_t own, const SampleRow& row, int32_t vocab_size) {
  uint64_t bits = Read(context, own);
  if (row.params.temperature > 0) {
    bits = Read(bits, RandomBits(row.params.seed, static_cast<uint64_t>(row.output_index)));
  }
  TokenId token(static_cast<int32_t>(bits % static_cast<uint64_t>(vocab_size)));
  const auto forbidden = [&row](TokenId t) {
    return std::find(row.forbidden.begin(), row.forbidden.end(), t) != row.forbidden.end();
  };
  for (int32_t tries = 0; tries < vocab_size && forbidden(token); ++tries) {
    token = TokenId((token.value + 1) % vocab_size);
  }
  return token;
}

// The log probability of the prompt's token `scored` after a row that read `context` and its own
// slot `own`.
inline float Score(uint64_t context, uint64_t own, TokenId scored) {
  const uint64_t bits = Read(Read(context, own), static_cast<uint64_t>(scored.value));
  return -static_cast<float>(bits % 1'000'003) / 1'024.0f;
}

}  // namespace intactkv::hash_model
