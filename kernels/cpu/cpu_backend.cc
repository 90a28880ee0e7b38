#include "kernels/cpu/cpu_backend.h"

#include <string>
#include <vector>

#include "engine/base/status_macros.h"
#include "kernels/cpu/cpu_context.h"
#include "kernels/cpu/cpu_linear.h"
#include "kernels/cpu/kv_attention.h"
#include "kernels/cpu/kv_pool.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/thread_pool.h"

namespace intactkv {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, int num_threads, bool pin_threads)
      : isa_(isa), name_("cpu " + std::string(IsaName(isa))), pool_(num_threads, pin_threads) {}

  int abi_version() const override { return kBackendAbi; }
  std::string_view name() const override { return name_; }
  int num_threads() const override { return pool_.num_threads(); }

  absl::StatusOr<std::unique_ptr<Linear>> LoadLinear(const LinearSpec& spec) override {
    ASSIGN_OR_RETURN(std::unique_ptr<CpuLinear> linear, CpuLinear::Load(spec, &pool_));
    return std::unique_ptr<Linear>(std::move(linear));
  }

  absl::StatusOr<std::unique_ptr<KvPool>> CreateKvPool(const ClassLayout& layout,
                                                       int num_pages) override {
    return MakeCpuKvPool(layout, num_pages);
  }

  absl::StatusOr<std::unique_ptr<ComputeContext>> CreateContext(
      const ContextOptions& options) override {
    return MakeCpuContext(options, isa_, &pool_);
  }

  std::vector<KernelChoice> Kernels(const ContextOptions& options) const override {
    const std::string suffix = std::string("__") + GetLinearKernels(isa_).isa;
    const bool int8 = options.activations == ActivationFormat::kInt8;
    const auto gemm = [&](int bits) {
      return "gemm_w" + std::to_string(bits) + (int8 ? "a8" : "f32") +
             (bits == 6 ? "_g16" : "_g32") + suffix;
    };
    std::vector<KernelChoice> out = {
        {"linear 4-bit", gemm(4)},           {"linear 5-bit", gemm(5)},
        {"linear 6-bit", gemm(6)},           {"linear 8-bit", gemm(8)},
        {"linear f32", "gemm_f32" + suffix}, {"row operations", "row_ops" + suffix}};
    for (KernelChoice& choice : KvAttention::Kernels(options, isa_)) {
      out.push_back(std::move(choice));
    }
    return out;
  }

 private:
  const Isa isa_;
  const std::string name_;
  ThreadPool pool_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> MakeCpuBackend(Isa isa, int num_threads,
                                                        bool pin_threads) {
  if (isa > HostIsa()) {
    return InvalidArgument("this CPU has no " + std::string(IsaName(isa)));
  }
  if (num_threads < 1) return InvalidArgument("threads: at least 1");
  return std::unique_ptr<Backend>(std::make_unique<CpuBackend>(isa, num_threads, pin_threads));
}

}  // namespace intactkv
