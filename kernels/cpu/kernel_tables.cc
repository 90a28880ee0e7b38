#include "engine/base/check.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/ops_kernels.h"

namespace intactkv {

const LinearKernels& GetLinearKernels(Isa isa) {
  CHECK(isa <= HostIsa()) << IsaName(isa);
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512LinearKernels;
  if (isa == Isa::kAvx2) return kAvx2LinearKernels;
#endif
  return kScalarLinearKernels;
}

const OpsKernels& GetOpsKernels(Isa isa) {
  CHECK(isa <= HostIsa()) << IsaName(isa);
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512OpsKernels;
  if (isa == Isa::kAvx2) return kAvx2OpsKernels;
#endif
  return kScalarOpsKernels;
}

}  // namespace intactkv
