#include "tests/support/gguf_damage.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace intactkv::test {
namespace {

// Metadata numbers that state the model's shape.
constexpr std::string_view kShapeKeys[] = {
    "llama.block_count",
    "llama.embedding_length",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.rope.dimension_count",
    "llama.vocab_size",
};

bool IsStructural(const GgufField& field) {
  switch (field.kind) {
    case GgufFieldKind::kValueType:
    case GgufFieldKind::kArrayType:
      return false;  // an int32 for a uint32 harms nobody
    case GgufFieldKind::kValue:
      return std::find(std::begin(kShapeKeys), std::end(kShapeKeys), field.owner) !=
             std::end(kShapeKeys);
    default:
      return true;
  }
}

const char* KindName(GgufFieldKind kind) {
  static constexpr const char* kNames[] = {
      "magic",       "version",         "tensor count", "key count",    "key length",
      "value type",  "string length",   "array type",   "array length", "value",
      "name length", "dimension count", "dimension",    "tensor type",  "offset"};
  return kNames[static_cast<size_t>(kind)];
}

// A wrong value for a field: the edges that break careless readers, or one flipped bit.
uint64_t WrongValue(uint64_t value, size_t size, Rng* rng) {
  const uint64_t mask = size == 8 ? ~uint64_t{0} : (uint64_t{1} << (size * 8)) - 1;
  const std::array<uint64_t, 10> candidates = {
      value ^ (uint64_t{1} << rng->Below(size * 8)),
      value + 1,
      value - 1,
      0,
      mask,
      mask >> 1,
      (mask >> 1) + 1,
      value * 2,
      value + 32,
      (*rng)(),
  };
  for (;;) {
    const uint64_t wrong = candidates[rng->Below(candidates.size())] & mask;
    if (wrong != value) return wrong;
  }
}

DamagedFile Truncate(const GgufImage& image, Rng* rng) {
  // Half of the cuts in the metadata, where most of the structure is.
  const size_t limit = rng->Below(2) == 0 ? image.data_start : image.bytes.size();
  const size_t size = rng->Below(limit);
  return {"cut to " + std::to_string(size) + " bytes",
          true,
          {image.bytes.begin(), image.bytes.begin() + static_cast<std::ptrdiff_t>(size)}};
}

DamagedFile ChangeField(const GgufImage& image, Rng* rng) {
  // First a kind, then one field of it: there are thousands of string lengths, one magic.
  const uint64_t first_kind = rng->Below(15);
  std::vector<const GgufField*> fields;
  for (uint64_t turn = 0; fields.empty(); ++turn) {
    const GgufFieldKind kind = static_cast<GgufFieldKind>((first_kind + turn) % 15);
    for (const GgufField& field : image.fields) {
      if (field.kind == kind) fields.push_back(&field);
    }
  }
  const GgufField& field = *fields[rng->Below(fields.size())];
  DamagedFile out;
  out.bytes = image.bytes;
  uint64_t value = 0;
  std::memcpy(&value, out.bytes.data() + field.offset, field.size);
  const uint64_t wrong = WrongValue(value, field.size, rng);
  std::memcpy(out.bytes.data() + field.offset, &wrong, field.size);
  out.structural = IsStructural(field);
  out.what = std::string(KindName(field.kind)) + " of '" + field.owner + "' from " +
             std::to_string(value) + " to " + std::to_string(wrong);
  return out;
}

DamagedFile FlipBytes(const GgufImage& image, Rng* rng) {
  DamagedFile out;
  out.bytes = image.bytes;
  out.what = "bytes flipped at";
  const uint64_t count = 1 + rng->Below(4);
  const size_t limit = rng->Below(2) == 0 ? image.data_start : image.bytes.size();
  for (uint64_t i = 0; i < count; ++i) {
    const size_t at = rng->Below(limit);
    out.bytes[at] ^= static_cast<std::byte>(1 + rng->Below(255));
    out.what += " " + std::to_string(at);
  }
  return out;
}

}  // namespace

DamagedFile DamageGguf(const GgufImage& image, uint64_t seed, int index) {
  CHECK(!image.fields.empty());
  Rng rng(Mix64(seed) + static_cast<uint64_t>(index));
  switch (index % 4) {
    case 0:
      return Truncate(image, &rng);
    case 1:
    case 2:
      return ChangeField(image, &rng);
    default:
      return FlipBytes(image, &rng);
  }
}

}  // namespace intactkv::test
