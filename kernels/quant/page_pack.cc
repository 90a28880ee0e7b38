#include "kernels/quant/page_pack.h"

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "engine/base/check.h"

namespace intactkv {
namespace {

constexpr size_t kTokens = kPageTokens;
constexpr size_t kLine = 64;  // bytes of one line of 16 lanes

// Where one element lies in a tile. `high` selects the high nibble of kI4.
struct Place {
  size_t byte = 0;
  bool high = false;
};

constexpr Place PlaceOfK(SideFormat format, size_t dims, size_t token, size_t dim) {
  const size_t group = token / 16;
  const size_t lane = token % 16;
  switch (format) {
    case SideFormat::kF32:
      return {(group * dims + dim) * kLine + lane * 4};
    case SideFormat::kF16:
    case SideFormat::kBF16:
      return {(group * (dims / 2) + dim / 2) * kLine + lane * 4 + (dim % 2) * 2};
    case SideFormat::kI8:
      return {(group * (dims / 4) + dim / 4) * kLine + lane * 4 + dim % 4};
    case SideFormat::kI4:
      return {(group * (dims / 8) + dim / 8) * kLine + lane * 4 + dim % 4, dim % 8 >= 4};
  }
  return {};
}

constexpr Place PlaceOfV(SideFormat format, size_t dims, size_t token, size_t dim) {
  const size_t block = dim / 16;
  const size_t lane = dim % 16;
  switch (format) {
    case SideFormat::kF32:
      return {(token * dims + dim) * 4};
    case SideFormat::kF16:
    case SideFormat::kBF16:
      return {((token / 2) * dims + dim) * 4 + (token % 2) * 2};
    case SideFormat::kI8:
      return {((token / 4) * (dims / 16) + block) * kLine + lane * 4 + token % 4};
    case SideFormat::kI4:
      return {((token / 8) * (dims / 16) + block) * kLine + lane * 4 + token % 4, token % 8 >= 4};
  }
  return {};
}

constexpr size_t CanonicalElementBytes(SideFormat format) {
  if (IsInteger(format)) return 1;
  return format == SideFormat::kF32 ? 4 : 2;
}

size_t ParamBytes(SideFormat format, KvSide side, size_t dims) {
  if (!IsInteger(format)) return 0;
  return (side == KvSide::kK ? dims : kTokens) * 2 * sizeof(uint16_t);
}

// Calls fn with side and format as constants, so that the permutation costs shifts only.
template <typename Fn>
void WithConstants(KvSide side, SideFormat format, const Fn& fn) {
  const auto with_format = [&](auto side_constant) {
    switch (format) {
      case SideFormat::kF32:
        return fn(side_constant, std::integral_constant<SideFormat, SideFormat::kF32>{});
      case SideFormat::kF16:
      case SideFormat::kBF16:  // lies as kF16 does
        return fn(side_constant, std::integral_constant<SideFormat, SideFormat::kF16>{});
      case SideFormat::kI8:
        return fn(side_constant, std::integral_constant<SideFormat, SideFormat::kI8>{});
      case SideFormat::kI4:
        return fn(side_constant, std::integral_constant<SideFormat, SideFormat::kI4>{});
    }
  };
  if (side == KvSide::kK) return with_format(std::integral_constant<KvSide, KvSide::kK>{});
  return with_format(std::integral_constant<KvSide, KvSide::kV>{});
}

// Calls fn(canonical element index, place) for every element.
template <KvSide kSide, SideFormat kFormat, typename Fn>
void ForEachElement(size_t dims, const Fn& fn) {
  for (size_t token = 0; token < kTokens; ++token) {
    for (size_t dim = 0; dim < dims; ++dim) {
      fn(token * dims + dim, kSide == KvSide::kK ? PlaceOfK(kFormat, dims, token, dim)
                                                 : PlaceOfV(kFormat, dims, token, dim));
    }
  }
}

void PackSide(KvSide side, SideFormat format, size_t dims, const std::byte* canonical,
              std::byte* data) {
  WithConstants(side, format, [&](auto side_constant, auto format_constant) {
    constexpr SideFormat kFormat = format_constant();
    constexpr size_t kElement = CanonicalElementBytes(kFormat);
    ForEachElement<side_constant(), kFormat>(dims, [&](size_t index, Place to) {
      const std::byte* from = canonical + index * kElement;
      if constexpr (kFormat == SideFormat::kI4) {
        const std::byte kept = data[to.byte] & std::byte(to.high ? 0x0f : 0xf0);
        data[to.byte] = kept | (to.high ? *from << 4 : *from & std::byte{0x0f});
      } else {
        std::memcpy(data + to.byte, from, kElement);
      }
    });
  });
}

void UnpackSide(KvSide side, SideFormat format, size_t dims, const std::byte* data,
                std::byte* canonical) {
  WithConstants(side, format, [&](auto side_constant, auto format_constant) {
    constexpr SideFormat kFormat = format_constant();
    constexpr size_t kElement = CanonicalElementBytes(kFormat);
    ForEachElement<side_constant(), kFormat>(dims, [&](size_t index, Place from) {
      std::byte* to = canonical + index * kElement;
      if constexpr (kFormat == SideFormat::kI4) {
        *to = from.high ? data[from.byte] >> 4 : data[from.byte] & std::byte{0x0f};
      } else {
        std::memcpy(to, data + from.byte, kElement);
      }
    });
  });
}

}  // namespace

size_t CanonicalSideBytes(SideFormat format, KvSide side, int head_dim) {
  const size_t dims = static_cast<size_t>(head_dim);
  return kTokens * dims * CanonicalElementBytes(format) + ParamBytes(format, side, dims);
}

size_t CanonicalSliceBytes(KvFormat format, int head_dim) {
  return CanonicalSideBytes(format.k, KvSide::kK, head_dim) +
         CanonicalSideBytes(format.v, KvSide::kV, head_dim);
}

void PackSlice(KvFormat format, int head_dim, std::span<const std::byte> canonical,
               std::byte* slice) {
  CHECK_EQ(canonical.size(), CanonicalSliceBytes(format, head_dim));
  const size_t dims = static_cast<size_t>(head_dim);
  const SliceLayout layout = MakeSliceLayout(format, head_dim);
  const std::byte* k = canonical.data();
  PackSide(KvSide::kK, format.k, dims, k, slice + layout.k_data);
  const size_t k_params = ParamBytes(format.k, KvSide::kK, dims);
  const std::byte* v = k + CanonicalSideBytes(format.k, KvSide::kK, head_dim);
  std::memcpy(slice + layout.k_params, v - k_params, k_params);
  PackSide(KvSide::kV, format.v, dims, v, slice + layout.v_data);
  const size_t v_params = ParamBytes(format.v, KvSide::kV, dims);
  const std::byte* end = canonical.data() + canonical.size();
  std::memcpy(slice + layout.v_params, end - v_params, v_params);
}

void UnpackSlice(KvFormat format, int head_dim, const std::byte* slice,
                 std::span<std::byte> canonical) {
  CHECK_EQ(canonical.size(), CanonicalSliceBytes(format, head_dim));
  const size_t dims = static_cast<size_t>(head_dim);
  const SliceLayout layout = MakeSliceLayout(format, head_dim);
  std::byte* k = canonical.data();
  UnpackSide(KvSide::kK, format.k, dims, slice + layout.k_data, k);
  const size_t k_params = ParamBytes(format.k, KvSide::kK, dims);
  std::byte* v = k + CanonicalSideBytes(format.k, KvSide::kK, head_dim);
  std::memcpy(v - k_params, slice + layout.k_params, k_params);
  UnpackSide(KvSide::kV, format.v, dims, slice + layout.v_data, v);
  const size_t v_params = ParamBytes(format.v, KvSide::kV, dims);
  std::byte* end = canonical.data() + canonical.size();
  std::memcpy(end - v_params, slice + layout.v_params, v_params);
}

void WriteF32Token(const SliceLayout& layout, int head_dim, int token,
                   std::span<const float* const, 2> kv, std::byte* slice) {
  const size_t dims = static_cast<size_t>(head_dim);
  const size_t at = static_cast<size_t>(token);
  for (size_t dim = 0; dim < dims; ++dim) {
    const Place to = PlaceOfK(SideFormat::kF32, dims, at, dim);
    std::memcpy(slice + layout.k_data + to.byte, kv[0] + dim, sizeof(float));
  }
  std::memcpy(slice + layout.v_data + at * dims * sizeof(float), kv[1], dims * sizeof(float));
}

}  // namespace intactkv
