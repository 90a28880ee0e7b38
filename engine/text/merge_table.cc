#include "engine/text/merge_table.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/text/utf8.h"

namespace intactkv {

namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

size_t Index(int32_t i) { return static_cast<size_t>(i); }

// By id: the place of its score among all scores, from the greatest.
std::vector<int32_t> RanksByScore(const std::vector<float>& scores) {
  std::vector<float> falling = scores;
  std::sort(falling.begin(), falling.end(), std::greater<>());
  falling.erase(std::unique(falling.begin(), falling.end()), falling.end());
  std::vector<int32_t> ranks;
  for (const float score : scores) {
    const auto it = std::lower_bound(falling.begin(), falling.end(), score, std::greater<>());
    ranks.push_back(static_cast<int32_t>(it - falling.begin()));
  }
  return ranks;
}

bool IsNormal(const TokenizerData& data, int32_t id) {
  return data.token_types[Index(id)] == static_cast<int32_t>(TokenType::kNormal);
}

}  // namespace

void MergeTable::Add(int32_t left, int32_t right, Merge merge) {
  merges_[PairKey(left, right)] = merge;
}

MergeTable MergeTable::FromList(const TokenizerData& data, const IdOf& id_of) {
  MergeTable table;
  table.merges_.reserve(data.merges.size());
  for (size_t rank = 0; rank < data.merges.size(); ++rank) {
    const std::string_view merge = data.merges[rank];
    const size_t space = merge.find(' ');
    const std::string_view left = merge.substr(0, space), right = merge.substr(space + 1);
    const std::string result = std::string(left) + std::string(right);
    table.Add(id_of.at(left), id_of.at(right),
              {.rank = static_cast<int32_t>(rank), .result = id_of.at(result)});
  }
  return table;
}

MergeTable MergeTable::FromScores(const TokenizerData& data, const IdOf& id_of) {
  const std::vector<int32_t> ranks = RanksByScore(data.scores);
  const auto normal = [&](std::string_view token) {
    const auto it = id_of.find(token);
    return it != id_of.end() && IsNormal(data, it->second) ? it->second : -1;
  };
  MergeTable table;
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const std::string_view token = data.tokens[i];
    const auto id = static_cast<int32_t>(i);
    if (!IsNormal(data, id)) continue;
    for (size_t cut = DecodeUtf8(token, 0).length; cut < token.size();
         cut += DecodeUtf8(token, cut).length) {
      const int32_t left = normal(token.substr(0, cut));
      const int32_t right = left < 0 ? -1 : normal(token.substr(cut));
      if (right >= 0) table.Add(left, right, {.rank = ranks[i], .result = id});
    }
  }
  return table;
}

const MergeTable::Merge* MergeTable::Find(int32_t left, int32_t right) const {
  const auto it = merges_.find(PairKey(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

std::vector<int32_t>& WordMerger::NewWord() {
  word_.clear();
  return word_;
}

void WordMerger::Merge(std::vector<TokenId>& out) {
  symbols_.clear();
  const auto size = static_cast<int32_t>(word_.size());
  for (int32_t i = 0; i < size; ++i) {
    symbols_.push_back({.token = word_[Index(i)], .prev = i - 1, .next = i + 1});
  }
  if (symbols_.empty()) return;
  symbols_.back().next = -1;
  for (int32_t i = 0; i + 1 < size; ++i) Propose(i);
  while (!heap_.empty()) Step();
  for (int32_t i = 0; i >= 0; i = symbols_[Index(i)].next) {
    out.push_back(TokenId(symbols_[Index(i)].token));
  }
}

const MergeTable::Merge* WordMerger::MergeAt(int32_t pos) const {
  const Symbol& left = symbols_[Index(pos)];
  if (left.token < 0 || left.next < 0) return nullptr;
  return table_.Find(left.token, symbols_[Index(left.next)].token);
}

void WordMerger::Propose(int32_t pos) {
  if (const MergeTable::Merge* merge = MergeAt(pos); merge != nullptr) {
    heap_.push_back({.rank = merge->rank, .pos = pos, .result = merge->result});
    std::push_heap(heap_.begin(), heap_.end());
    ++operations_;
  }
}

void WordMerger::Step() {
  const Candidate best = heap_.front();
  std::pop_heap(heap_.begin(), heap_.end());
  heap_.pop_back();
  ++operations_;
  const MergeTable::Merge* merge = MergeAt(best.pos);
  if (merge == nullptr || merge->result != best.result) return;  // overtaken by another merge
  Symbol& left = symbols_[Index(best.pos)];
  Symbol& right = symbols_[Index(left.next)];
  left.token = best.result;
  left.next = right.next;
  right.token = -1;
  if (left.next >= 0) symbols_[Index(left.next)].prev = best.pos;
  if (left.prev >= 0) Propose(left.prev);
  Propose(best.pos);
}

}  // namespace intactkv
