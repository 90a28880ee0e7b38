#include "kernels/quant/k_quants.h"

#include <cstring>

#include "engine/base/check.h"
#include "kernels/quant/half.h"

namespace intactkv {
namespace {

// The blocks as they lie in a file, little-endian.
struct Q2K {
  uint8_t scales[16];  // low nibble scale, high nibble minimum
  uint8_t qs[64];
  uint16_t d, dmin;
};
struct Q3K {
  uint8_t hmask[32];  // the codes' third bits
  uint8_t qs[64];     // their low two
  uint8_t scales[12];
  uint16_t d;
};
struct Q4K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
struct Q5K {
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];  // the codes' fifth bits
  uint8_t qs[128];
};
struct Q6K {
  uint8_t ql[128];
  uint8_t qh[64];  // the codes' upper two bits
  int8_t scales[16];
  uint16_t d;
};
static_assert(sizeof(Q2K) == 84 && sizeof(Q3K) == 110 && sizeof(Q4K) == 144);
static_assert(sizeof(Q5K) == 176 && sizeof(Q6K) == 210);

template <typename Block>
Block Load(const std::byte* at) {
  Block out;
  std::memcpy(&out, at, sizeof(out));
  return out;
}

// Eight scales and eight minima of 6 bits in 12 bytes: the first four of each lie whole in bytes
// 0..3 and 4..7; the last four have their low nibbles in bytes 8..11 and their upper two bits on
// top of the first four.
void UnpackScaleMinima(const uint8_t* packed, int8_t* scales, int8_t* minima) {
  for (int j = 0; j < 4; ++j) {
    scales[j] = static_cast<int8_t>(packed[j] & 63u);
    minima[j] = static_cast<int8_t>(packed[4 + j] & 63u);
    scales[4 + j] = static_cast<int8_t>((packed[8 + j] & 15) | (packed[j] >> 6 << 4));
    minima[4 + j] = static_cast<int8_t>((packed[8 + j] >> 4) | (packed[4 + j] >> 6 << 4));
  }
}

// Sixteen scales of 6 bits, 32 above their value, in 12 bytes: scale j has its low nibble in byte
// j % 8 (low half for j < 8) and its upper two bits in byte 8 + j % 4 at bit 2 * (j / 4).
void UnpackScales(const uint8_t* packed, int8_t* scales) {
  for (int j = 0; j < 16; ++j) {
    const int low = packed[j % 8] >> (j < 8 ? 0 : 4) & 15;
    const int high = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
    scales[j] = static_cast<int8_t>((low | high << 4) - 32);
  }
}

void Read(const Q2K& b, KQuantBlock* out) {
  out->d = b.d;
  out->dmin = b.dmin;
  for (int j = 0; j < 16; ++j) {
    out->scales[j] = static_cast<int8_t>(b.scales[j] & 15u);
    out->minima[j] = static_cast<int8_t>(b.scales[j] >> 4);
  }
  for (int i = 0; i < kSuperBlock; ++i) {
    out->codes[i] = b.qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
  }
}

// The zero point of 4-bit symmetric codes is 8: codes q - 4 + 8.
void Read(const Q3K& b, KQuantBlock* out) {
  out->d = b.d;
  UnpackScales(b.scales, out->scales);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int low = b.qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    const int high = b.hmask[i % 32] >> (i / 32) & 1;
    out->codes[i] = static_cast<uint8_t>((low | high << 2) + 4);
  }
}

void Read(const Q4K& b, KQuantBlock* out) {
  out->d = b.d;
  out->dmin = b.dmin;
  UnpackScaleMinima(b.scales, out->scales, out->minima);
  for (int i = 0; i < kSuperBlock; ++i) {
    out->codes[i] = b.qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
  }
}

void Read(const Q5K& b, KQuantBlock* out) {
  out->d = b.d;
  out->dmin = b.dmin;
  UnpackScaleMinima(b.scales, out->scales, out->minima);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int low = b.qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
    const int high = b.qh[i % 32] >> (i / 32) & 1;
    out->codes[i] = static_cast<uint8_t>(low | high << 4);
  }
}

void Read(const Q6K& b, KQuantBlock* out) {
  out->d = b.d;
  std::memcpy(out->scales, b.scales, sizeof(b.scales));
  for (int i = 0; i < kSuperBlock; ++i) {
    const int low = b.ql[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15;
    const int high = b.qh[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
    out->codes[i] = static_cast<uint8_t>(low | high << 4);
  }
}

void Dequantize(const Q2K& b, float* out) {
  const float d = HalfToFloat(b.d);
  const float dmin = HalfToFloat(b.dmin);
  const uint8_t* scale = b.scales;
  for (const uint8_t* q = b.qs; q < b.qs + 64; q += 32) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (int part = 0; part < 32; part += 16, ++scale) {
        const float s = d * static_cast<float>(*scale & 15);
        const float m = dmin * static_cast<float>(*scale >> 4);
        for (int l = part; l < part + 16; ++l) {
          *out++ = s * static_cast<float>(q[l] >> shift & 3) - m;
        }
      }
    }
  }
}

void Dequantize(const Q3K& b, float* out) {
  int8_t scales[16];
  UnpackScales(b.scales, scales);
  const float d = HalfToFloat(b.d);
  const int8_t* scale = scales;
  int bit = 0;  // of hmask
  for (const uint8_t* q = b.qs; q < b.qs + 64; q += 32) {
    for (int shift = 0; shift < 8; shift += 2, ++bit) {
      for (int part = 0; part < 32; part += 16, ++scale) {
        const float s = d * static_cast<float>(*scale);
        for (int l = part; l < part + 16; ++l) {
          const int q3 = (q[l] >> shift & 3) - ((b.hmask[l] >> bit & 1) != 0 ? 0 : 4);
          *out++ = s * static_cast<float>(q3);
        }
      }
    }
  }
}

void Dequantize(const Q4K& b, float* out) {
  int8_t scales[8];
  int8_t minima[8];
  UnpackScaleMinima(b.scales, scales, minima);
  const float d = HalfToFloat(b.d);
  const float dmin = HalfToFloat(b.dmin);
  for (int j = 0; j < 8; ++j) {
    const uint8_t* q = b.qs + j / 2 * 32;
    const float s = d * static_cast<float>(scales[j]);
    const float m = dmin * static_cast<float>(minima[j]);
    for (int l = 0; l < 32; ++l) {
      *out++ = s * static_cast<float>(j % 2 == 0 ? q[l] & 15 : q[l] >> 4) - m;
    }
  }
}

void Dequantize(const Q5K& b, float* out) {
  int8_t scales[8];
  int8_t minima[8];
  UnpackScaleMinima(b.scales, scales, minima);
  const float d = HalfToFloat(b.d);
  const float dmin = HalfToFloat(b.dmin);
  for (int j = 0; j < 8; ++j) {
    const uint8_t* q = b.qs + j / 2 * 32;
    const float s = d * static_cast<float>(scales[j]);
    const float m = dmin * static_cast<float>(minima[j]);
    for (int l = 0; l < 32; ++l) {
      const int low = j % 2 == 0 ? q[l] & 15 : q[l] >> 4;
      *out++ = s * static_cast<float>(low + ((b.qh[l] & 1 << j) != 0 ? 16 : 0)) - m;
    }
  }
}

void Dequantize(const Q6K& b, float* out) {
  const float d = HalfToFloat(b.d);
  const auto value = [d](int scale, int low, int high) {
    return d * static_cast<float>(scale) * static_cast<float>((low | (high & 3) << 4) - 32);
  };
  for (int half = 0; half < 2; ++half, out += 128) {
    const uint8_t* ql = b.ql + half * 64;
    const uint8_t* qh = b.qh + half * 32;
    for (int l = 0; l < 32; ++l) {
      const int8_t* scale = b.scales + half * 8 + l / 16;
      out[l] = value(scale[0], ql[l] & 15, qh[l]);
      out[l + 32] = value(scale[2], ql[l + 32] & 15, qh[l] >> 2);
      out[l + 64] = value(scale[4], ql[l] >> 4, qh[l] >> 4);
      out[l + 96] = value(scale[6], ql[l + 32] >> 4, qh[l] >> 6);
    }
  }
}

// Calls `use` with the block as its own struct.
template <typename Use>
void Visit(BlockType type, const std::byte* block, const Use& use) {
  switch (type) {
    case BlockType::kQ2_K:
      return use(Load<Q2K>(block));
    case BlockType::kQ3_K:
      return use(Load<Q3K>(block));
    case BlockType::kQ4_K:
      return use(Load<Q4K>(block));
    case BlockType::kQ5_K:
      return use(Load<Q5K>(block));
    case BlockType::kQ6_K:
      return use(Load<Q6K>(block));
    default:
      CHECK(false) << "not a K-quant";
  }
}

}  // namespace

size_t KQuantBytes(BlockType type) {
  switch (type) {
    case BlockType::kQ2_K:
      return sizeof(Q2K);
    case BlockType::kQ3_K:
      return sizeof(Q3K);
    case BlockType::kQ4_K:
      return sizeof(Q4K);
    case BlockType::kQ5_K:
      return sizeof(Q5K);
    case BlockType::kQ6_K:
      return sizeof(Q6K);
    default:
      CHECK(false) << "not a K-quant";
  }
}

KQuantBlock ReadKQuant(BlockType type, const std::byte* block) {
  KQuantBlock out;
  Visit(type, block, [&out](const auto& b) { Read(b, &out); });
  return out;
}

void DequantizeKQuant(BlockType type, const std::byte* block, float* out) {
  Visit(type, block, [out](const auto& b) { Dequantize(b, out); });
}

}  // namespace intactkv
