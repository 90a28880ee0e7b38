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

// Which formula of make_families.py the matrices follow. kPlain: odd integers below 256 times a
// power of two. kExact: as EncodeExactly wants them, so that every tensor type of GGUF holds them.
enum class FamilyLevels { kPlain, kExact };

struct FamilyCase {
  std::string config_json;
  FamilyLevels levels = FamilyLevels::kPlain;
  std::vector<NamedShape> tensors;
  std::vector<int32_t> tokens;
  std::vector<RecordedRow> rows;
};

// Names of the committed cases, ascending.
std::vector<std::string> FamilyCaseNames();
// CHECK-fails if the file is not there or not what the script writes.
FamilyCase ReadFamilyCase(const std::string& name);

// The weights of a tensor of the case: the formulas of make_families.py.
std::vector<float> FamilyWeights(const FamilyCase& family, const NamedShape& tensor);
// The step of a matrix of kExact, as EncodeExactly wants it.
float FamilyStep(const NamedShape& tensor);

}  // namespace intactkv::test
