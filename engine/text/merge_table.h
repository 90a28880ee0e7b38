// The merges of a BPE vocabulary, and the algorithm that applies them to one word.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/ids.h"
#include "engine/text/tokenizer_data.h"

namespace intactkv {

// Immutable, Thread-safe.
// Source: Sennrich et al. 2016, arXiv:1508.07909; the order of merges is that of the `tokenizers`
// package and of SentencePiece: best rank first, then leftmost.
class MergeTable {
 public:
  using IdOf = absl::flat_hash_map<std::string_view, int32_t>;
  struct Merge {
    int32_t rank;
    int32_t result;
  };

  // From data.merges, which are valid: the rank is the place in the list.
  static MergeTable FromList(const TokenizerData& data, const IdOf& id_of);
  // From data.scores: two tokens merge if their concatenation is a normal token; the rank is that
  // token's place by falling score, and equal scores have equal ranks.
  // Source: SentencePiece, bpe_model.cc. O(bytes x longest token).
  static MergeTable FromScores(const TokenizerData& data, const IdOf& id_of);

  // nullptr: the two do not merge.
  const Merge* Find(int32_t left, int32_t right) const;

 private:
  void Add(int32_t left, int32_t right, Merge merge);

  absl::flat_hash_map<uint64_t, Merge> merges_;  // left << 32 | right
};

// Merges one word at a time; keeps its buffers between words. Thread-compatible.
class WordMerger {
 public:
  // `table` outlives this object.
  explicit WordMerger(const MergeTable& table) : table_(table) {}

  // The symbols of the next word go into this empty list; then Merge() appends its ids to `out`.
  std::vector<int32_t>& NewWord();
  // O(n log n) in the word.
  void Merge(std::vector<TokenId>& out);

  // Heap operations so far: they bound the work and do not depend on the machine.
  uint64_t operations() const { return operations_; }

 private:
  struct Symbol {
    int32_t token;       // -1: merged into its left neighbour
    int32_t prev, next;  // -1: none
  };
  struct Candidate {
    int32_t rank, pos, result;
    // std::push_heap keeps the greatest in front: the best rank, then the leftmost.
    friend bool operator<(const Candidate& a, const Candidate& b) {
      return std::pair(a.rank, a.pos) > std::pair(b.rank, b.pos);
    }
  };

  const MergeTable::Merge* MergeAt(int32_t pos) const;
  void Propose(int32_t pos);
  void Step();

  const MergeTable& table_;
  std::vector<int32_t> word_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  uint64_t operations_ = 0;
};

}  // namespace intactkv
