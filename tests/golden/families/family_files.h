// A family case as files: a Hugging Face directory of one or more shards, or a GGUF file.
#pragma once

#include "kernels/api/tensor.h"
#include "tests/golden/families/family_case.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/model_directory_writer.h"

namespace intactkv::test {

// All matrices and vectors in `type`: F32, F16 or BF16.
struct FamilyFormat {
  TensorType type = TensorType::kF32;
  int num_shards = 1;
};

DirectoryFiles FamilyDirectory(const FamilyCase& family, const FamilyFormat& format);

// The same model as llama.cpp's converter lays it out: the q and k rows of the llama family
// permuted, Llama 3's RoPE scaling as a tensor of divisors. Matrices in `type`, vectors in F32. The
// numbers are those of FamilyWeights, rounded to a blocked `type` unless the case's levels are
// exact.
GgufWriter FamilyGguf(const FamilyCase& family, TensorType type);

}  // namespace intactkv::test
