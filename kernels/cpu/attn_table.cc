#include "kernels/cpu/attn_kernels.h"
#include "kernels/cpu/isa.h"

namespace intactkv {

const AttnKernels& AttnKernelsFor(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return Avx512AttnKernels();
  if (isa == Isa::kAvx2) return Avx2AttnKernels();
#endif
  (void)isa;
  return ScalarAttnKernels();
}

AttnKernels::ItemFn AttnItemFn(const AttnKernels& kernels, KvFormat format) {
  if (format == kKvF32) return kernels.f32;
  if (format == kKvF16) return kernels.f16;
  if (format == kKvBF16) return kernels.bf16;
  if (format == kKvI8C) return kernels.i8c;
  if (format == kKvK8V4) return kernels.k8v4;
  if (format == kKvI4C) return kernels.i4c;
  return nullptr;
}

}  // namespace intactkv
