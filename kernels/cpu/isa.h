// Instruction sets of the CPU backend, and the choice at run time.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace intactkv {

// Ordered: a higher one may run what a lower one runs.
//   kAvx2    AVX2, FMA, F16C
//   kAvx512  AVX-512 F, BW, DQ, VL, VNNI
enum class Isa : uint8_t { kScalar = 0, kAvx2 = 1, kAvx512 = 2 };

std::string_view IsaName(Isa isa);  // "scalar", "avx2", "avx512"

// The widest this CPU has.
Isa HostIsa();

// HostIsa(), or what INTACTKV_ISA forces. kInvalidArgument: unknown name, or this CPU lacks it.
absl::StatusOr<Isa> SelectIsa();

}  // namespace intactkv
