#include "tests/golden/model/tiny_reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>
#include <string_view>

namespace intactkv::golden {
namespace {

class Writer {
 public:
  void U16(uint32_t v) {
    bytes_.push_back(static_cast<uint8_t>(v & 0xff));
    bytes_.push_back(static_cast<uint8_t>(v >> 8 & 0xff));
  }
  void U32(uint32_t v) {
    U16(v & 0xffff);
    U16(v >> 16);
  }
  void F32(float v) { U32(std::bit_cast<uint32_t>(v)); }
  void Ids(std::span<const TokenId> ids) {
    for (const TokenId id : ids) U16(static_cast<uint32_t>(id.value));
  }
  void Floats(std::span<const float> values) {
    for (const float value : values) F32(value);
  }
  void Bytes(std::span<const uint8_t> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  std::vector<uint8_t> Take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

// mt19937's sequence is fixed by the standard; its distributions are not.
float Uniform(std::mt19937& generator) {
  return static_cast<float>(generator() >> 8) / static_cast<float>(1 << 24);
}

}  // namespace

ReferencePosition RecordRow(std::span<const float> row, std::span<const TokenId> fixed_ids,
                            int num_top) {
  std::vector<int32_t> order(row.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](int32_t id) { return row[static_cast<size_t>(id)]; };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logit(a) != logit(b) ? logit(a) > logit(b) : a < b;
  });
  ReferencePosition position;
  position.greedy = TokenId(order[0]);
  position.margin = logit(order[0]) - logit(order[1]);
  double sum = 0;
  for (const float x : row) {
    sum += std::exp(double{x});
    position.max_abs_logit = std::max(position.max_abs_logit, std::abs(x));
  }
  position.logsumexp = static_cast<float>(std::log(sum));
  for (size_t i = 0; i < static_cast<size_t>(num_top); ++i) {
    position.top_ids.emplace_back(order[i]);
    position.top_logits.push_back(logit(order[i]));
  }
  for (const TokenId id : fixed_ids) position.fixed_logits.push_back(logit(id.value));
  return position;
}

TinyReference MakeTinyReference(const TinyOptions& options) {
  std::mt19937 generator(options.seed);
  TinyReference tiny;
  tiny.reference.vocab_size = options.vocab;
  std::iota(tiny.reference.model_sha256.begin(), tiny.reference.model_sha256.end(), uint8_t{1});
  for (int32_t id = 3; id < options.vocab; id += 7) tiny.reference.fixed_ids.emplace_back(id);
  for (size_t p = 0; p < options.num_prompts; ++p) {
    ReferencePrompt& prompt = tiny.reference.prompts.emplace_back();
    for (size_t i = 0; i <= p; ++i) prompt.ids.emplace_back(static_cast<int32_t>(p + i));
    auto& rows = tiny.rows.emplace_back();
    for (size_t i = 0; i < options.num_positions; ++i) {
      auto& row = rows.emplace_back();
      for (int id = 0; id < options.vocab; ++id) row.push_back(10 * Uniform(generator) - 4);
      // A clear best token, another one in each row.
      row[(p * 5 + i * 11) % row.size()] = 7;
      prompt.positions.push_back(RecordRow(row, tiny.reference.fixed_ids, options.num_top));
    }
  }
  return tiny;
}

std::vector<uint8_t> Serialize(const Reference& reference) {
  Writer out;
  const std::string_view magic = "IKVGOLD1";
  out.Bytes({reinterpret_cast<const uint8_t*>(magic.data()), magic.size()});
  const ReferencePosition& first = reference.prompts.at(0).positions.at(0);
  for (const size_t value :
       {size_t{1}, static_cast<size_t>(reference.vocab_size), reference.prompts.size(),
        reference.prompts[0].positions.size(), first.top_ids.size(), reference.fixed_ids.size()}) {
    out.U32(static_cast<uint32_t>(value));
  }
  out.Bytes(reference.model_sha256);
  out.Ids(reference.fixed_ids);
  for (const ReferencePrompt& prompt : reference.prompts) {
    out.U32(static_cast<uint32_t>(prompt.ids.size()));
    out.Ids(prompt.ids);
    for (const ReferencePosition& position : prompt.positions) {
      out.U16(static_cast<uint32_t>(position.greedy.value));
      out.F32(position.logsumexp);
      out.F32(position.max_abs_logit);
      out.F32(position.margin);
      out.Ids(position.top_ids);
      out.Floats(position.top_logits);
      out.Floats(position.fixed_logits);
    }
  }
  return out.Take();
}

}  // namespace intactkv::golden
