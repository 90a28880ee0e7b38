// A CPU backend whose contexts keep what a model gives to attention: q, K and V of chosen layers.
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/thread_pool.h"
#include "tests/unit/kernels/attention/attention_rig.h"

namespace intactkv::golden {

// Rows of each layer that has an entry, in the order in which they were computed.
using Recording = std::map<int, RecordedRows>;

// Computes as MakeCpuBackend's; its contexts append to `recording`, which outlives them.
class RecordingBackend : public Backend {
 public:
  static absl::StatusOr<std::unique_ptr<RecordingBackend>> Create(Isa isa, int num_threads,
                                                                  Recording* recording);

  int abi_version() const override { return inner_->abi_version(); }
  std::string_view name() const override { return inner_->name(); }
  int num_threads() const override { return inner_->num_threads(); }
  absl::StatusOr<std::unique_ptr<Linear>> LoadLinear(const LinearSpec& spec) override {
    return inner_->LoadLinear(spec);
  }
  absl::StatusOr<std::unique_ptr<KvPool>> CreateKvPool(const ClassLayout& layout,
                                                       int num_pages) override {
    return inner_->CreateKvPool(layout, num_pages);
  }
  absl::StatusOr<std::unique_ptr<ComputeContext>> CreateContext(
      const ContextOptions& options) override;
  std::vector<KernelChoice> Kernels(const ContextOptions& options) const override {
    return inner_->Kernels(options);
  }

 private:
  RecordingBackend(std::unique_ptr<Backend> inner, Isa isa, Recording* recording)
      : inner_(std::move(inner)),
        isa_(isa),
        recording_(recording),
        pool_(inner_->num_threads(), /*pin=*/false) {}

  const std::unique_ptr<Backend> inner_;
  const Isa isa_;
  Recording* const recording_;
  ThreadPool pool_;  // of the contexts
};

}  // namespace intactkv::golden
