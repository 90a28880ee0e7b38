// Deterministic damage to safetensors files: what "a damaged checkpoint" means in the tests.
#pragma once

#include <cstdint>

#include "tests/support/gguf_damage.h"
#include "tests/support/safetensors_writer.h"

namespace intactkv::test {

// Damaged file number `index` of the stream `seed`; the kinds of damage take turns: a cut, the
// header's length, a number of its shapes and offsets, a dtype, its text, any bytes. `image` is
// what SafetensorsWriter::Build returned, its tensors all of one dtype.
DamagedFile DamageSafetensors(const SafetensorsImage& image, uint64_t seed, int index);

}  // namespace intactkv::test
