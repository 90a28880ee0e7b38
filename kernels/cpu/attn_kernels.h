// Microkernels of attention over KV pages: one table per ISA, made from one template
// (attn_kernels.inc). Included by files with ISA flags: plain types only, no inline functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/quant/page_format.h"

namespace intactkv {

enum class Isa : uint8_t;  // isa.h

inline constexpr int kAttnMaxRows = 4;     // query rows of one call
inline constexpr int kAttnItemPages = 16;  // pages of one work item (decisions.md 4)
inline constexpr int kAttnTilePages = 4;   // pages of one macro tile

// One work item: up to kAttnMaxRows query rows of one KV head over consecutive pages of one format.
struct AttnItem {
  int head_dim = 0;
  float scale = 1.0f;  // multiplies q.k
  int num_rows = 0;    // 1..kAttnMaxRows
  const float* q[kAttnMaxRows] = {};
  // Tokens that the row reads, from the start of the item; 0 is allowed. Integer formats: the same
  // multiple of kPageTokens for all rows.
  int limit[kAttnMaxRows] = {};
  const std::byte* pages[kAttnItemPages] =
      {};  // slices; only those below the highest limit are read
  SliceLayout slice;
};

// Softmax state of the rows of one item, or of several merged ones: maximum, sum of exp(S - m), and
// un-normalised output. A row that reads nothing has m = -inf, l = 0, o = 0.
struct AttnState {
  float m[kAttnMaxRows];
  float l[kAttnMaxRows];
  float* o;  // [kAttnMaxRows][head_dim], 64-byte aligned
};

// Results depend on the row alone: not on the other rows of the call, nor on their number. All
// functions are Thread-safe.
struct AttnKernels {
  const char* isa_suffix;  // "scalar", "avx2", "avx512vnni"
  // Overwrites `out`.
  using ItemFn = void (*)(const AttnItem& item, AttnState& out);
  ItemFn f32, f16, bf16, i8c, k8v4, i4c;
  // Merges row `row` of `part` into the same row of `state`; the caller goes in segment order, then
  // ascending.
  void (*merge)(const AttnState& part, int row, int head_dim, AttnState& state);
  // out[head_dim] = o / l of the row.
  void (*finish)(const AttnState& state, int row, int head_dim, float* out);
};

const AttnKernels& ScalarAttnKernels();
const AttnKernels& Avx2AttnKernels();    // only where the CPU has AVX2, FMA, F16C
const AttnKernels& Avx512AttnKernels();  // only where the CPU has AVX-512 F, BW, DQ, VL, VNNI

// The table of `isa`, and its entry for a format (null: no kernel for it).
const AttnKernels& AttnKernelsFor(Isa isa);
AttnKernels::ItemFn AttnItemFn(const AttnKernels& kernels, KvFormat format);

}  // namespace intactkv
