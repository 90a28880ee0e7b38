// The format of stored pages in each layer of the invariance tests' model: one for both, or two.
#pragma once

#include <array>
#include <string>

#include "kernels/quant/page_format.h"

namespace intactkv::test {

inline constexpr int kTinyLayers = 2;

struct StoredTable {
  // NOLINTNEXTLINE(google-explicit-constructor): a format is a table
  StoredTable(KvFormat all) : layers{all, all} {}
  StoredTable(KvFormat first, KvFormat second) : layers{first, second} {}
  // "i8c", or "bf16_k8v4".
  std::string Name() const {
    const std::string first(KvFormatName(layers[0]));
    if (layers[0] == layers[1]) return first;
    return first + "_" + std::string(KvFormatName(layers[1]));
  }

  std::array<KvFormat, kTinyLayers> layers;
};

// Every format of --kv, and one table.
inline const std::array<StoredTable, 6> kStoredTables = {
    kKvI8C, kKvI4C, kKvF32, kKvBF16, kKvK8V4, StoredTable(kKvBF16, kKvK8V4)};

}  // namespace intactkv::test
