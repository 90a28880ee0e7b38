// A small made-up reference with all its logits, for the tests of reader, metrics and checks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "tests/golden/model/reference_file.h"

namespace intactkv::golden {

struct TinyOptions {
  int vocab = 50, num_top = 8;
  size_t num_prompts = 3, num_positions = 4;
  uint32_t seed = 1;
};

struct TinyReference {
  Reference reference;
  // [prompt][position][vocab]: the rows that `reference` records.
  std::vector<std::vector<std::vector<float>>> rows;
};

TinyReference MakeTinyReference(const TinyOptions& options);

// What the reference file would say about this row.
ReferencePosition RecordRow(std::span<const float> row, std::span<const TokenId> fixed_ids,
                            int num_top);

// The bytes of the file format.
std::vector<uint8_t> Serialize(const Reference& reference);

}  // namespace intactkv::golden
