#include "kernels/cpu/isa.h"

#include <cstdlib>
#include <string>

#include "engine/base/status_macros.h"

namespace intactkv {

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

Isa HostIsa() {
#if defined(INTACTKV_EMULATE_AVX512)
  return Isa::kAvx512;  // a test build that computes AVX-512 kernels by other instructions
#elif defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  if (avx512) return Isa::kAvx512;
  return avx2 ? Isa::kAvx2 : Isa::kScalar;
#else
  return Isa::kScalar;
#endif
}

absl::StatusOr<Isa> SelectIsa() {
  const char* forced = std::getenv("INTACTKV_ISA");
  if (forced == nullptr || *forced == '\0') return HostIsa();
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (IsaName(isa) != forced) continue;
    if (isa > HostIsa()) {
      return InvalidArgument(std::string("INTACTKV_ISA=") + forced + ": this CPU has only " +
                             std::string(IsaName(HostIsa())));
    }
    return isa;
  }
  return InvalidArgument(std::string("INTACTKV_ISA=") + forced + ": use scalar, avx2 or avx512");
}

}  // namespace intactkv
