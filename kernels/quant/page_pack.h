// Canonical <-> tile layout of one slice: pure permutations, no arithmetic (kernels.md 3.3).
//
// Canonical form of a slice = K then V, each side as
//   kF32 f32[32][D]      kF16 and kBF16 u16[32][D]
//   kI8 and kI4: u8 codes [32][D], one code a byte, then fp16 scales, then fp16 minima (K: [D]
//   each, V: [32] each).
// The tile layout is page_format.h's. Neither buffer needs alignment. All functions are
// Thread-safe.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/quant/page_format.h"

namespace intactkv {

enum class KvSide : uint8_t { kK, kV };

// Bytes of one side, and of K plus V, in canonical form.
size_t CanonicalSideBytes(SideFormat format, KvSide side, int head_dim);
size_t CanonicalSliceBytes(KvFormat format, int head_dim);

// canonical: CanonicalSliceBytes(); slice: MakeSliceLayout(format, head_dim).bytes. Codes of kI4
// must be below 16. PackSlice leaves the padding at the end of the slice alone. Buffers must not
// overlap.
void PackSlice(KvFormat format, int head_dim, std::span<const std::byte> canonical,
               std::byte* slice);
void UnpackSlice(KvFormat format, int head_dim, const std::byte* slice,
                 std::span<std::byte> canonical);

// Writes one token into an F32 slice: k, v are [head_dim]; token in [0, 32).
void WriteF32Token(const SliceLayout& layout, int head_dim, int token,
                   std::span<const float* const, 2> kv, std::byte* slice);

}  // namespace intactkv
