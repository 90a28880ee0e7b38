#include "engine/model/gguf_tensor_types.h"

#include <algorithm>
#include <iterator>

#include "engine/base/check.h"

namespace intactkv {
namespace {

constexpr GgufTensorType kTypes[] = {
    {0, "F32", TensorType::kF32},    {1, "F16", TensorType::kF16},
    {2, "Q4_0", TensorType::kQ4_0},  {3, "Q4_1", TensorType::kQ4_1},
    {6, "Q5_0", TensorType::kQ5_0},  {7, "Q5_1", TensorType::kQ5_1},
    {8, "Q8_0", TensorType::kQ8_0},  {9, "Q8_1", std::nullopt},
    {10, "Q2_K", TensorType::kQ2_K}, {11, "Q3_K", TensorType::kQ3_K},
    {12, "Q4_K", TensorType::kQ4_K}, {13, "Q5_K", TensorType::kQ5_K},
    {14, "Q6_K", TensorType::kQ6_K}, {15, "Q8_K", std::nullopt},
    {16, "IQ2_XXS", std::nullopt},   {17, "IQ2_XS", std::nullopt},
    {18, "IQ3_XXS", std::nullopt},   {19, "IQ1_S", std::nullopt},
    {20, "IQ4_NL", std::nullopt},    {21, "IQ3_S", std::nullopt},
    {22, "IQ2_S", std::nullopt},     {23, "IQ4_XS", std::nullopt},
    {24, "I8", std::nullopt},        {25, "I16", std::nullopt},
    {26, "I32", std::nullopt},       {27, "I64", std::nullopt},
    {28, "F64", std::nullopt},       {29, "IQ1_M", std::nullopt},
    {30, "BF16", TensorType::kBF16}, {34, "TQ1_0", std::nullopt},
    {35, "TQ2_0", std::nullopt},     {39, "MXFP4", std::nullopt},
    {40, "NVFP4", std::nullopt},     {41, "Q1_0", std::nullopt},
};

struct BlockSize {
  int elements, bytes;
};

BlockSize BlockSizeOf(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return {1, 4};
    case TensorType::kF16:
    case TensorType::kBF16:
      return {1, 2};
    case TensorType::kQ8_0:
      return {32, 34};
    case TensorType::kQ4_0:
      return {32, 18};
    case TensorType::kQ4_1:
      return {32, 20};
    case TensorType::kQ5_0:
      return {32, 22};
    case TensorType::kQ5_1:
      return {32, 24};
    case TensorType::kQ2_K:
      return {256, 84};
    case TensorType::kQ3_K:
      return {256, 110};
    case TensorType::kQ4_K:
      return {256, 144};
    case TensorType::kQ5_K:
      return {256, 176};
    case TensorType::kQ6_K:
      return {256, 210};
  }
  CHECK(false) << "unknown tensor type";
}

}  // namespace

const GgufTensorType* FindGgufTensorType(uint32_t id) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [id](const GgufTensorType& t) { return t.id == id; });
  return found == std::end(kTypes) ? nullptr : found;
}

std::string_view TensorTypeName(TensorType type) {
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [type](const GgufTensorType& t) { return t.type == type; });
  return found == std::end(kTypes) ? "unknown" : found->name;
}

int TensorBlockElements(TensorType type) { return BlockSizeOf(type).elements; }

int TensorBlockBytes(TensorType type) { return BlockSizeOf(type).bytes; }

std::string SupportedTensorTypes() {
  std::string out;
  std::string_view last;
  for (const GgufTensorType& t : kTypes) {
    if (!t.type.has_value()) continue;
    if (!last.empty()) out += std::string(out.empty() ? "" : ", ") + std::string(last);
    last = t.name;
  }
  return out + " or " + std::string(last);
}

}  // namespace intactkv
