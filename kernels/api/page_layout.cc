#include "kernels/api/page_layout.h"

#include <algorithm>

#include "engine/base/check.h"
#include "kernels/quant/page_pack.h"

namespace intactkv {

ClassLayout MakeClassLayout(const KvShape& shape, std::span<const KvFormat> formats) {
  CHECK(shape.num_layers > 0 && shape.num_kv_heads > 0);
  CHECK_EQ(formats.size(), static_cast<size_t>(shape.num_layers));
  ClassLayout out;
  out.shape = shape;
  for (const KvFormat format : formats) {
    const SliceLayout slice = MakeSliceLayout(format, shape.head_dim);
    out.layers.push_back({format, slice, out.page_bytes});
    out.page_bytes += slice.bytes * static_cast<size_t>(shape.num_kv_heads);
  }
  return out;
}

ClassLayout MakeClassLayout(const KvShape& shape, KvFormat format) {
  CHECK(shape.num_layers > 0);
  return MakeClassLayout(shape,
                         std::vector<KvFormat>(static_cast<size_t>(shape.num_layers), format));
}

bool TakesPartialPages(const ClassLayout& layout) {
  return std::all_of(layout.layers.begin(), layout.layers.end(),
                     [](const ClassLayout::Layer& layer) { return IsFloat(layer.format); });
}

size_t CanonicalPageBytes(const ClassLayout& layout) {
  size_t bytes = 0;
  for (const ClassLayout::Layer& layer : layout.layers) {
    bytes += CanonicalSliceBytes(layer.format, layout.shape.head_dim) *
             static_cast<size_t>(layout.shape.num_kv_heads);
  }
  return bytes;
}

PageLayout MakePageLayout(const KvShape& shape, KvFormat pinned, std::span<const KvFormat> stored,
                          KvFormat hot) {
  return {{MakeClassLayout(shape, pinned), MakeClassLayout(shape, stored),
           MakeClassLayout(shape, hot)}};
}

}  // namespace intactkv
