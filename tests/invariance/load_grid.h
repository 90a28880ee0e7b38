// The grid of load: every combination of stored format, prefix cache, pool fill, residue, chunk and
// preemption under which an answer must keep its bits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cpu/isa.h"
#include "tests/invariance/stored_table.h"
#include "tests/invariance/workload.h"

namespace intactkv::test {

inline constexpr int32_t kWholePrompt = 400;  // as a chunk: more than any prompt of the grid
inline constexpr int32_t kChunks[] = {1, 7, 31, 32, 33, 64, kWholePrompt};
inline constexpr int32_t kNumCells = 6 * 2 * 2 * 32 * 7 * 2;
inline constexpr int32_t kNumSeeds = 5;

struct Cell {
  StoredTable stored = kKvF32;
  bool prefix_cache = false;   // the first private page comes from the cache
  int32_t fill_percent = 100;  // of the stored pool
  int32_t residue = 0;         // private tokens of the prompt, mod 32
  int32_t chunk = 1;           // rows of the observed request in a step of its prefill
  bool preempted = false;

  // Of the prompt: some pages, so that most chunks leave a rest, and few where a step is one token.
  int32_t num_private() const { return (chunk <= 7 ? 64 : 128) + residue; }
  // A seed picks the prefix, which ends inside a page, and with it every token.
  Case Request(int32_t seed) const;
};

// All coordinates.
std::string CellName(const Cell& cell, Isa isa, int32_t seed);

// All of them, once, in an order in which every n-th cell is a fair sample: shuffled.
std::vector<Cell> AllCells();

}  // namespace intactkv::test
