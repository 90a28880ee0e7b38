// Attention of one row in double precision on stored codes: the oracle for kernel error.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/quant/page_format.h"

namespace intactkv {

// K and V of consecutive tokens, [num_tokens][head_dim] each.
struct RefKv {
  std::vector<double> k;
  std::vector<double> v;
};

// Appends the first num_tokens (0..32) of a slice in canonical form (page_pack.h); codes are
// decoded as x = s*u + z, exactly. Thread-safe for distinct outputs.
void RefAppendSlice(KvFormat format, int head_dim, std::span<const std::byte> canonical,
                    int num_tokens, RefKv& out);

// softmax(scale * q.K) V over all tokens of kv; q is [head_dim], returns [head_dim]. At least one
// token. Thread-safe.
std::vector<double> RefAttention(std::span<const float> q, double scale, const RefKv& kv);

}  // namespace intactkv
