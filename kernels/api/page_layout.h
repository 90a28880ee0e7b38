// PageLayout: the one place that maps (page class, layer) to a KV format and a byte offset.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "engine/base/page_entry.h"
#include "kernels/quant/page_format.h"

namespace intactkv {

struct KvShape {
  int num_layers = 0;
  int num_kv_heads = 0;
  int head_dim = 0;  // multiple of 32 in [32, 256]
  friend bool operator==(const KvShape&, const KvShape&) = default;
};

// One page of one class: all layers, all KV heads, in one blob.
struct ClassLayout {
  struct Layer {
    KvFormat format;
    SliceLayout slice;
    size_t offset =
        0;  // of (layer, head 0) from the start of the page; head h adds h * slice.bytes
  };
  KvShape shape;
  std::vector<Layer> layers;
  size_t page_bytes = 0;

  size_t SliceOffset(int layer, int kv_head) const {
    const Layer& l = layers[static_cast<size_t>(layer)];
    return l.offset + static_cast<size_t>(kv_head) * l.slice.bytes;
  }
};

// formats: one per layer.
ClassLayout MakeClassLayout(const KvShape& shape, std::span<const KvFormat> formats);
// The same format in every layer.
ClassLayout MakeClassLayout(const KvShape& shape, KvFormat format);

// Whether a page may be promoted before it is full: no layer holds codes.
bool TakesPartialPages(const ClassLayout& layout);

struct PageLayout {
  std::array<ClassLayout, kNumPageClasses> classes;
  const ClassLayout& For(PageClass c) const { return classes[static_cast<size_t>(c)]; }
};

// stored: one format per layer. Hot pages are F32 on CPU whatever the pins are.
PageLayout MakePageLayout(const KvShape& shape, KvFormat pinned, std::span<const KvFormat> stored,
                          KvFormat hot = kKvF32);

// Bytes of one page in canonical form (see KvPool::ExportPage).
size_t CanonicalPageBytes(const ClassLayout& layout);

}  // namespace intactkv
