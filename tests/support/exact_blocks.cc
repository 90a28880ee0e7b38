#include "tests/support/exact_blocks.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/k_quant_codec.h"

namespace intactkv::test {
namespace {

// One group: value i is step * factor * levels[i].
struct Group {
  int factor = 0;
  std::vector<int> levels;  // -3, -1, 1 or 3
};

Group Split(std::span<const float> values, float step) {
  float smallest = std::fabs(values[0]);
  for (const float v : values) smallest = std::min(smallest, std::fabs(v));
  Group group;
  group.factor = static_cast<int>(smallest / step);
  CHECK(group.factor >= 1 && group.factor <= 3) << "a group of 32 holds the level 1 or -1";
  for (const float v : values) {
    const int level = static_cast<int>(v / (step * static_cast<float>(group.factor)));
    CHECK(std::abs(level) == 1 || std::abs(level) == 3);
    CHECK(step * static_cast<float>(group.factor * level) == v);
    group.levels.push_back(level);
  }
  return group;
}

template <typename T>
void Put(T value, std::vector<std::byte>* out) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  out->insert(out->end(), bytes.begin(), bytes.end());
}

// A block of 32 of the types without K: d, the minimum where there is one, codes.
void PutPlain(TensorType type, const Group& group, float step, std::vector<std::byte>* out) {
  const float d = step * static_cast<float>(group.factor);
  Put(ToHalf(d), out);
  if (type == TensorType::kQ8_0) {
    for (const int level : group.levels) Put(static_cast<int8_t>(level), out);
    return;
  }
  const bool has_minimum = type == TensorType::kQ4_1 || type == TensorType::kQ5_1;
  const bool five = type == TensorType::kQ5_0 || type == TensorType::kQ5_1;
  if (has_minimum) Put(ToHalf(-3 * d), out);
  const int zero = has_minimum ? 3 : (five ? 16 : 8);
  const auto code = [&](size_t i) { return static_cast<unsigned>(group.levels[i] + zero); };
  if (five) {
    uint32_t high = 0;
    for (size_t i = 0; i < kExactGroup; ++i) high |= (code(i) >> 4) << i;
    Put(high, out);
  }
  for (size_t i = 0; i < kExactGroup / 2; ++i) {
    Put(static_cast<uint8_t>((code(i) & 15u) | (code(i + 16) & 15u) << 4), out);
  }
}

// Q2_K has codes 0..3 only, so there a code counts two levels.
void PutKQuant(TensorType type, std::span<const Group> groups, float step,
               std::vector<std::byte>* out) {
  const bool has_minima =
      type == TensorType::kQ2_K || type == TensorType::kQ4_K || type == TensorType::kQ5_K;
  const int subs_a_group = type == TensorType::kQ4_K || type == TensorType::kQ5_K ? 1 : 2;
  const int levels_a_code = type == TensorType::kQ2_K ? 2 : 1;
  KQuantBlock block{.d = step, .dmin = has_minima ? 3 * step : 0};
  for (const Group& group : groups) {
    for (int i = 0; i < subs_a_group; ++i) {
      block.scales.push_back(group.factor * levels_a_code);
      block.minima.push_back(group.factor);
    }
    for (const int level : group.levels) {
      block.codes.push_back((level + (has_minima ? 3 : 0)) / levels_a_code);
    }
  }
  const std::vector<std::byte> packed = PackKQuant(type, block);
  out->insert(out->end(), packed.begin(), packed.end());
}

}  // namespace

std::vector<std::byte> EncodeExactly(TensorType type, std::span<const float> values, float step) {
  std::vector<Group> groups;
  for (size_t at = 0; at < values.size(); at += kExactGroup) {
    groups.push_back(Split(values.subspan(at, kExactGroup), step));
  }
  const auto per_block = static_cast<size_t>(TensorBlockElements(type)) / kExactGroup;
  CHECK(per_block >= 1 && groups.size() % per_block == 0);
  std::vector<std::byte> out;
  for (size_t at = 0; at < groups.size(); at += per_block) {
    if (per_block == 1) {
      PutPlain(type, groups[at], step, &out);
    } else {
      PutKQuant(type, std::span(groups).subspan(at, per_block), step, &out);
    }
  }
  return out;
}

}  // namespace intactkv::test
