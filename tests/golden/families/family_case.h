// One tiny model of a served family with what Transformers computes on it; see make_families.py.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace intactkv::test {

struct NamedShape {
  std::string name;            // Hugging Face's
  std::vector<int64_t> shape;  // rows first
};

struct RecordedRow {
  int position = 0;
  std::vector<float> logits;
};

struct FamilyCase {
  std::string config_json;
  std::vector<NamedShape> tensors;
  std::vector<int32_t> tokens;
  std::vector<RecordedRow> rows;
};

// Names of the committed cases, ascending.
std::vector<std::string> FamilyCaseNames();
// CHECK-fails if the file is not there or not what the script writes.
FamilyCase ReadFamilyCase(const std::string& name);

// The weights of tensor `name`: the formula of make_families.py.
std::vector<float> FamilyWeights(const NamedShape& tensor);

}  // namespace intactkv::test
