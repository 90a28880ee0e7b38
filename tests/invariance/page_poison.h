// Overwrites KV pages, or the tail of one, with values that ruin whatever reads them.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/api/backend.h"

namespace intactkv::test {

// NaN in V shows wherever it is read, be its weight 0. NaN in K would not: attention takes a
// segment whose scores are all NaN for an empty one.
struct Poison {
  float k = 2.0f;
  float v = std::numeric_limits<float>::quiet_NaN();
};

// The whole page, in any format of stored or hot pages.
void PoisonPage(KvPool& pool, int32_t slot);

// Tokens first_token..31 of a page in F32, in every layer and head.
void PoisonTail(KvPool& pool, int32_t slot, int32_t first_token, const Poison& poison = {});

// One page in F32, canonical: [layer][KV head][K, V][token][dim].
class F32Page {
 public:
  F32Page(const KvPool& pool, int32_t slot);
  float& At(int layer, int head, int side, int token, int dim);
  float At(int layer, int head, int side, int token, int dim) const;
  // The vector of one token; side 0 is K, 1 is V.
  std::span<const float> Vector(int layer, int head, int side, int token) const;
  void Write(KvPool& pool, int32_t slot) const;
  const KvShape& shape() const { return shape_; }

 private:
  size_t Index(int layer, int head, int side, int token) const;
  KvShape shape_;
  std::vector<float> values_;
};

}  // namespace intactkv::test
