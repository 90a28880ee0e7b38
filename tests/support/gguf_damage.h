// Deterministic damage to GGUF files: what "a damaged model file" means in the tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/gguf_writer.h"

namespace intactkv::test {

struct DamagedFile {
  std::string what;  // for the test's message
  // Truncation, or a changed magic, version, count, length, tensor type, dimension, offset or
  // shape: must be refused. Otherwise the file must be refused or load and answer.
  bool structural = false;
  std::vector<std::byte> bytes;
};

// Damaged file number `index` of the stream `seed`; the kinds of damage take turns. `image` is what
// GgufWriter::Build returned.
DamagedFile DamageGguf(const GgufImage& image, uint64_t seed, int index);

}  // namespace intactkv::test
