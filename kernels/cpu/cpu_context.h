// One step on the CPU: the phases of ComputeContext over preallocated buffers.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kv_attention.h"
#include "kernels/cpu/thread_pool.h"

namespace intactkv {

// `pool` and the pools of options.kv outlive the context. Weights given to the phases come from the
// same backend. Errors as Backend::CreateContext. After it, only SampledToken::top allocates.
absl::StatusOr<std::unique_ptr<ComputeContext>> MakeCpuContext(const ContextOptions& options,
                                                               Isa isa, ThreadPool* pool);
// The same over an attention made with the same options and pool, or one that wraps such a one.
absl::StatusOr<std::unique_ptr<ComputeContext>> MakeCpuContext(
    const ContextOptions& options, Isa isa, ThreadPool* pool,
    std::unique_ptr<KvAttention> attention);

}  // namespace intactkv
