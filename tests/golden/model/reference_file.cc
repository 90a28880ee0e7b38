#include "tests/golden/model/reference_file.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "engine/base/status_macros.h"

namespace intactkv::golden {
namespace {

constexpr std::string_view kMagic = "IKVGOLD1";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaxVocab = 1 << 24;
constexpr uint32_t kMaxPrompts = 10'000, kMaxPositions = 10'000;

// Walks little-endian bytes; the first read past the end makes it fail for good and yield zeros.
class Cursor {
 public:
  explicit Cursor(std::span<const uint8_t> bytes) : rest_(bytes) {}
  bool failed() const { return failed_; }
  size_t remaining() const { return rest_.size(); }

  std::span<const uint8_t> Take(size_t n) {
    if (failed_ || n > rest_.size()) {
      failed_ = true;
      return {};
    }
    const auto taken = rest_.first(n);
    rest_ = rest_.subspan(n);
    return taken;
  }
  uint32_t U16() {
    const auto b = Take(2);
    return b.empty() ? 0 : static_cast<uint32_t>(b[0] | b[1] << 8);
  }
  uint32_t U32() {
    const uint32_t low = U16();
    return low | U16() << 16;
  }
  uint32_t Id(const size_t bytes) { return bytes == 2 ? U16() : U32(); }
  float F32() { return std::bit_cast<float>(U32()); }

 private:
  std::span<const uint8_t> rest_;
  bool failed_ = false;
};

struct Header {
  uint32_t vocab = 0, num_prompts = 0, num_positions = 0, num_top = 0, num_fixed = 0;
  size_t id_bytes() const { return vocab <= 1 << 16 ? 2 : 4; }
  // Bytes of one position's record.
  size_t record_bytes() const {
    return id_bytes() + 3 * 4 + size_t{num_top} * (id_bytes() + 4) + size_t{num_fixed} * 4;
  }
};

absl::Status Bad(std::string_view what) {
  return DataLoss("golden reference: " + std::string(what));
}

std::string Where(size_t prompt, size_t position) {
  return " of prompt " + std::to_string(prompt) + ", position " + std::to_string(position);
}

absl::StatusOr<Header> ReadHeader(Cursor& in) {
  const auto magic = in.Take(kMagic.size());
  if (in.failed() || std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) {
    return Bad("magic is not IKVGOLD1");
  }
  if (const uint32_t version = in.U32(); version != kVersion) {
    return Bad("format version is " + std::to_string(version) + ", not 1");
  }
  Header header;
  header.vocab = in.U32();
  header.num_prompts = in.U32();
  header.num_positions = in.U32();
  header.num_top = in.U32();
  header.num_fixed = in.U32();
  if (in.failed()) return Bad("ends inside the header");
  if (header.vocab < 2 || header.vocab > kMaxVocab) return Bad("vocabulary size out of range");
  if (header.num_prompts < 1 || header.num_prompts > kMaxPrompts) {
    return Bad("number of prompts out of range");
  }
  if (header.num_positions < 1 || header.num_positions > kMaxPositions) {
    return Bad("number of positions out of range");
  }
  if (header.num_top < 2 || header.num_top > header.vocab) {
    return Bad("number of top ids out of range");
  }
  if (header.num_fixed > header.vocab) return Bad("number of fixed ids out of range");
  return header;
}

bool ReadIds(Cursor& in, uint32_t count, const Header& header, std::vector<TokenId>& ids) {
  ids.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t id = in.Id(header.id_bytes());
    if (in.failed() || id >= header.vocab) return false;
    ids.emplace_back(static_cast<int32_t>(id));
  }
  return true;
}

bool ReadLogits(Cursor& in, uint32_t count, std::vector<float>& logits) {
  logits.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    logits.push_back(in.F32());
    if (in.failed() || !std::isfinite(logits.back())) return false;
  }
  return true;
}

// Largest first; equal logits in the order of their ids, none twice.
bool TopIsOrdered(const ReferencePosition& position) {
  for (size_t i = 1; i < position.top_ids.size(); ++i) {
    const float before = position.top_logits[i - 1], here = position.top_logits[i];
    if (here > before) return false;
    if (here == before && position.top_ids[i] <= position.top_ids[i - 1]) return false;
  }
  return true;
}

absl::StatusOr<ReferencePosition> ReadPosition(Cursor& in, const Header& header,
                                               const std::string& where) {
  ReferencePosition position;
  position.greedy = TokenId(static_cast<int32_t>(in.Id(header.id_bytes())));
  position.logsumexp = in.F32();
  position.max_abs_logit = in.F32();
  position.margin = in.F32();
  if (!ReadIds(in, header.num_top, header, position.top_ids)) return Bad("top ids" + where);
  if (!ReadLogits(in, header.num_top, position.top_logits)) return Bad("top logits" + where);
  if (!ReadLogits(in, header.num_fixed, position.fixed_logits)) {
    return Bad("fixed logits" + where);
  }
  if (!TopIsOrdered(position)) return Bad("order of the top ids" + where);
  if (position.greedy != position.top_ids[0]) return Bad("greedy id" + where);
  if (position.margin != position.top_logits[0] - position.top_logits[1]) {
    return Bad("margin" + where);
  }
  if (!std::isfinite(position.logsumexp) || position.logsumexp < position.top_logits[0]) {
    return Bad("logsumexp" + where);
  }
  if (!(position.max_abs_logit >= std::abs(position.top_logits[0])) ||
      !std::isfinite(position.max_abs_logit) || position.max_abs_logit <= 0) {
    return Bad("max |logit|" + where);
  }
  return position;
}

absl::StatusOr<ReferencePrompt> ReadPrompt(Cursor& in, const Header& header, size_t index) {
  ReferencePrompt prompt;
  const uint32_t num_ids = in.U32();
  const size_t needed =
      size_t{num_ids} * header.id_bytes() + header.num_positions * header.record_bytes();
  if (in.failed() || num_ids == 0 || needed > in.remaining()) {
    return Bad("length of prompt " + std::to_string(index));
  }
  if (!ReadIds(in, num_ids, header, prompt.ids)) {
    return Bad("ids of prompt " + std::to_string(index));
  }
  prompt.positions.reserve(header.num_positions);
  for (uint32_t i = 0; i < header.num_positions; ++i) {
    ASSIGN_OR_RETURN(ReferencePosition position, ReadPosition(in, header, Where(index, i)));
    prompt.positions.push_back(std::move(position));
  }
  return prompt;
}

}  // namespace

std::vector<TokenId> ReferencePrompt::GreedyIds() const {
  std::vector<TokenId> greedy;
  greedy.reserve(positions.size());
  for (const ReferencePosition& position : positions) greedy.push_back(position.greedy);
  return greedy;
}

absl::StatusOr<Reference> ParseReference(std::span<const uint8_t> bytes) {
  Cursor in(bytes);
  ASSIGN_OR_RETURN(const Header header, ReadHeader(in));
  Reference reference;
  reference.vocab_size = static_cast<int>(header.vocab);
  const auto digest = in.Take(reference.model_sha256.size());
  if (in.failed()) return Bad("ends inside the model's SHA-256");
  std::memcpy(reference.model_sha256.data(), digest.data(), digest.size());
  if (!ReadIds(in, header.num_fixed, header, reference.fixed_ids)) return Bad("fixed ids");
  for (size_t i = 1; i < reference.fixed_ids.size(); ++i) {
    if (reference.fixed_ids[i] <= reference.fixed_ids[i - 1]) return Bad("order of the fixed ids");
  }
  for (uint32_t i = 0; i < header.num_prompts; ++i) {
    ASSIGN_OR_RETURN(ReferencePrompt prompt, ReadPrompt(in, header, i));
    reference.prompts.push_back(std::move(prompt));
  }
  if (in.remaining() != 0) return Bad("has bytes after the last record");
  return reference;
}

absl::StatusOr<Reference> ReadReferenceFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound("golden reference: cannot open " + path);
  const std::vector<char> chars((std::istreambuf_iterator<char>(file)),
                                std::istreambuf_iterator<char>());
  return ParseReference({reinterpret_cast<const uint8_t*>(chars.data()), chars.size()});
}

}  // namespace intactkv::golden
