#include "tests/golden/families/family_case.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "tests/support/exact_blocks.h"

namespace intactkv::test {
namespace {

const char* const kCases = INTACTKV_SOURCE_DIR "/tests/golden/families/cases";

uint64_t Fnv1a(std::string_view text) {
  uint64_t value = 0xcbf29ce484222325ull;
  for (const char c : text) {
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  }
  return value;
}

// The first match counts.
int ScaleOf(const std::string& name) {
  struct Scale {
    const char* part;
    int exponent;
  };
  static constexpr Scale kScales[] = {
      {"embed_tokens", 7}, {"lm_head", 7}, {"model.norm", 10}, {"norm", 7},     {".bias", 9},
      {"q_proj", 11},      {"k_proj", 11}, {"gate_proj", 11},  {"up_proj", 11}, {"", 10}};
  for (const Scale& scale : kScales) {
    if (name.find(scale.part) != std::string::npos) return scale.exponent;
  }
  return 0;
}

// Odd integers below 256.
std::vector<float> PlainWeights(uint64_t seed, size_t count, int exponent) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) {
    const int level = static_cast<int>(RandomBits(seed, i) >> 56) * 2 - 255;
    out[i] = std::ldexp(static_cast<float>(level), -exponent);
  }
  return out;
}

// Four levels, times 1, 2 or 3 per group of 32.
std::vector<float> ExactWeights(uint64_t seed, size_t count, float step) {
  std::vector<float> out(count);
  for (size_t i = 0; i < count; ++i) {
    const int level = static_cast<int>(RandomBits(seed, i) >> 62) * 2 - 3;
    const int factor = 1 + static_cast<int>(RandomBits(~seed, i / kExactGroup) % 3);
    out[i] = step * static_cast<float>(level * factor);
  }
  return out;
}

template <typename T>
std::vector<T> ReadAll(std::istream& in) {
  std::vector<T> out;
  for (T value; in >> value;) out.push_back(value);
  return out;
}

}  // namespace

std::vector<std::string> FamilyCaseNames() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(kCases)) {
    out.push_back(entry.path().stem().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

FamilyCase ReadFamilyCase(const std::string& name) {
  FamilyCase out;
  std::ifstream file(std::string(kCases) + "/" + name + ".txt");
  CHECK(file.good()) << name;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "config") {
      out.config_json = line.substr(kind.size() + 1);
    } else if (kind == "tensor") {
      NamedShape tensor;
      words >> tensor.name;
      tensor.shape = ReadAll<int64_t>(words);
      out.tensors.push_back(std::move(tensor));
    } else if (kind == "levels") {
      std::string levels;
      words >> levels;
      CHECK(levels == "exact") << line;
      out.levels = FamilyLevels::kExact;
    } else if (kind == "tokens") {
      out.tokens = ReadAll<int32_t>(words);
    } else {
      CHECK(kind == "row") << line;
      RecordedRow row;
      words >> row.position;
      row.logits = ReadAll<float>(words);
      out.rows.push_back(std::move(row));
    }
  }
  CHECK(!out.tensors.empty() && !out.tokens.empty() && !out.rows.empty()) << name;
  return out;
}

std::vector<float> FamilyWeights(const FamilyCase& family, const NamedShape& tensor) {
  size_t count = 1;
  for (const int64_t size : tensor.shape) count *= static_cast<size_t>(size);
  const uint64_t seed = Fnv1a(tensor.name);
  if (family.levels == FamilyLevels::kExact && tensor.shape.size() == 2) {
    return ExactWeights(seed, count, FamilyStep(tensor));
  }
  return PlainWeights(seed, count, ScaleOf(tensor.name));
}

float FamilyStep(const NamedShape& tensor) { return std::ldexp(1.0f, 5 - ScaleOf(tensor.name)); }

}  // namespace intactkv::test
