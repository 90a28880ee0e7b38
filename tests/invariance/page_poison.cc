#include "tests/invariance/page_poison.h"

#include "engine/base/check.h"
#include "kernels/quant/page_pack.h"

namespace intactkv::test {
namespace {

constexpr std::byte kLargestCode{0x0f};  // fits 4 bits
constexpr std::byte kNumberByte{0x3f};  // 0x3f3f is 1.8 in fp16 and 0.7 in bfloat16, as in binary32
constexpr std::byte kNanByte{0xff};     // a NaN in all of them

size_t CodeBytes(SideFormat format, int head_dim) {
  if (!IsInteger(format)) return 0;
  return static_cast<size_t>(kPageTokens) * static_cast<size_t>(head_dim);
}

}  // namespace

void PoisonPage(KvPool& pool, int32_t slot) {
  const ClassLayout& layout = pool.layout();
  std::vector<std::byte> page;
  for (const ClassLayout::Layer& layer : layout.layers) {
    for (int i = 0; i < 2 * layout.shape.num_kv_heads; ++i) {
      const bool is_v = i % 2 == 1;
      const SideFormat format = is_v ? layer.format.v : layer.format.k;
      const size_t end = page.size() + CanonicalSideBytes(format, is_v ? KvSide::kV : KvSide::kK,
                                                          layout.shape.head_dim);
      page.resize(page.size() + CodeBytes(format, layout.shape.head_dim), kLargestCode);
      page.resize(end, is_v ? kNanByte : kNumberByte);
    }
  }
  pool.ImportPage(slot, page);
}

void PoisonTail(KvPool& pool, int32_t slot, int32_t first_token, const Poison& poison) {
  F32Page page(pool, slot);
  const KvShape& shape = page.shape();
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    for (int i = 0; i < 2 * shape.num_kv_heads; ++i) {
      for (int token = first_token; token < kPageTokens; ++token) {
        for (int dim = 0; dim < shape.head_dim; ++dim) {
          page.At(layer, i / 2, i % 2, token, dim) = i % 2 == 1 ? poison.v : poison.k;
        }
      }
    }
  }
  page.Write(pool, slot);
}

F32Page::F32Page(const KvPool& pool, int32_t slot) : shape_(pool.layout().shape) {
  for (const ClassLayout::Layer& layer : pool.layout().layers) CHECK(layer.format == kKvF32);
  values_.resize(CanonicalPageBytes(pool.layout()) / sizeof(float));
  pool.ExportPage(slot, std::as_writable_bytes(std::span(values_)));
}

size_t F32Page::Index(int layer, int head, int side, int token) const {
  const int vector = ((layer * shape_.num_kv_heads + head) * 2 + side) * kPageTokens + token;
  return static_cast<size_t>(vector) * static_cast<size_t>(shape_.head_dim);
}

float& F32Page::At(int layer, int head, int side, int token, int dim) {
  return values_[Index(layer, head, side, token) + static_cast<size_t>(dim)];
}

float F32Page::At(int layer, int head, int side, int token, int dim) const {
  return values_[Index(layer, head, side, token) + static_cast<size_t>(dim)];
}

std::span<const float> F32Page::Vector(int layer, int head, int side, int token) const {
  return std::span(values_).subspan(Index(layer, head, side, token),
                                    static_cast<size_t>(shape_.head_dim));
}

void F32Page::Write(KvPool& pool, int32_t slot) const {
  pool.ImportPage(slot, std::as_bytes(std::span(values_)));
}

}  // namespace intactkv::test
