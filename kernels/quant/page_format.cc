#include "kernels/quant/page_format.h"

#include "engine/base/check.h"

namespace intactkv {
namespace {

size_t DataBytes(SideFormat format, int head_dim) {
  const size_t elements = static_cast<size_t>(kPageTokens) * static_cast<size_t>(head_dim);
  switch (format) {
    case SideFormat::kF32:
      return elements * 4;
    case SideFormat::kF16:
    case SideFormat::kBF16:
      return elements * 2;
    case SideFormat::kI8:
      return elements;
    case SideFormat::kI4:
      return elements / 2;
  }
  CHECK(false) << "unknown side format";
}

}  // namespace

std::string_view KvFormatName(KvFormat format) {
  if (format == kKvF32) return "f32";
  if (format == kKvF16) return "f16";
  if (format == kKvBF16) return "bf16";
  if (format == kKvI8C) return "i8c";
  if (format == kKvK8V4) return "k8v4";
  if (format == kKvI4C) return "i4c";
  return "mixed";
}

SliceLayout MakeSliceLayout(KvFormat format, int head_dim) {
  CHECK(head_dim >= 32 && head_dim <= 256 && head_dim % 32 == 0) << "head_dim " << head_dim;
  constexpr size_t kParamBytes = 2 * sizeof(uint16_t);  // fp16 scale and minimum
  SliceLayout out;
  size_t at = DataBytes(format.k, head_dim);
  out.k_params = at;
  if (IsInteger(format.k)) at += kParamBytes * static_cast<size_t>(head_dim);
  out.v_data = at;
  at += DataBytes(format.v, head_dim);
  out.v_params = at;
  if (IsInteger(format.v)) at += kParamBytes * kPageTokens;
  out.bytes = (at + 127) / 128 * 128;
  return out;
}

}  // namespace intactkv
