#include "kernels/api/page_layout.h"

#include "engine/base/check.h"

namespace intactkv {

ClassLayout MakeClassLayout(const KvShape& shape, KvFormat format) {
  CHECK(shape.num_layers > 0 && shape.num_kv_heads > 0);
  ClassLayout out;
  out.shape = shape;
  const SliceLayout slice = MakeSliceLayout(format, shape.head_dim);
  for (int layer = 0; layer < shape.num_layers; ++layer) {
    out.layers.push_back({format, slice, out.page_bytes});
    out.page_bytes += slice.bytes * static_cast<size_t>(shape.num_kv_heads);
  }
  return out;
}

size_t CanonicalPageBytes(const ClassLayout& layout) {
  const size_t dim = static_cast<size_t>(layout.shape.head_dim);
  const auto side = [dim](SideFormat format, size_t num_params) -> size_t {
    if (format == SideFormat::kF32) return kPageTokens * dim * 4;
    if (format == SideFormat::kF16) return kPageTokens * dim * 2;
    return kPageTokens * dim + num_params * 4;  // one code a byte, fp16 scale and minimum
  };
  size_t bytes = 0;
  for (const ClassLayout::Layer& layer : layout.layers) {
    bytes += (side(layer.format.k, dim) + side(layer.format.v, kPageTokens)) *
             static_cast<size_t>(layout.shape.num_kv_heads);
  }
  return bytes;
}

PageLayout MakePageLayout(const KvShape& shape, KvFormat pinned, KvFormat stored, KvFormat hot) {
  return {{MakeClassLayout(shape, pinned), MakeClassLayout(shape, stored),
           MakeClassLayout(shape, hot)}};
}

}  // namespace intactkv
