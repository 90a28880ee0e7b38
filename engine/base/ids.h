// Strong ids: a value that names a thing; compares, converts to nothing, has no arithmetic.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace intactkv {

template <class Tag, class Rep>
struct StrongId {
  StrongId() = default;
  constexpr explicit StrongId(Rep v) : value(v) {}
  friend constexpr auto operator<=>(StrongId, StrongId) = default;
  template <typename H>
  friend H AbslHashValue(H h, StrongId id) {
    return H::combine(std::move(h), id.value);
  }
  Rep value;
};

using TokenId = StrongId<struct TokenTag, int32_t>;
using BlockId = StrongId<struct BlockTag, int32_t>;
using SequenceId = StrongId<struct SequenceTag, uint64_t>;  // ascending in admission order
using PrefixId = StrongId<struct PrefixTag, uint64_t>;      // version of one pinned prefix

static_assert(sizeof(TokenId) == 4);  // a span of tokens reaches the kernels as it is

}  // namespace intactkv
