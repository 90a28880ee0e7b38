// A Backend that computes nothing and writes down what it is asked: for tests of the layers above
// the kernels.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/api/backend.h"

namespace intactkv::test {

// What the contexts of one FakeBackend saw and what they answer with. Owned by the test.
struct FakeScript {
  // In call order: "begin", "embed token_embd.weight", "qkv 0 blk.0.attn_q.weight", "attention 0",
  // "out blk.0.attn_output.weight", "mlp blk.0.ffn_gate.weight", "logits token_embd.weight",
  // "sample".
  std::vector<std::string> calls;
  std::vector<Batch> batches;                    // one per Begin
  std::vector<ContextOptions> contexts;          // one per CreateContext
  std::vector<LinearSpec> loaded;                // one per LoadLinear; data pointers are stale
  absl::Status begin_status = absl::OkStatus();  // what Begin returns
  std::string refuse_tensor;                     // LoadLinear of this name is kUnimplemented
  std::vector<SequenceHealth> health;            // of the next step, one per sequence; else clean
};

// Keeps the tensor dequantized; bytes() is what the file's form needs.
class FakeLinear : public Linear {
 public:
  explicit FakeLinear(const LinearSpec& spec);
  int64_t rows() const override { return rows_; }
  int64_t cols() const override { return cols_; }
  size_t bytes() const override { return bytes_; }
  std::string_view format_name() const override { return format_; }
  void DequantizeRow(int64_t row, float* out) const override;
  const std::string& name() const { return name_; }

 private:
  std::string name_, format_;
  int64_t rows_, cols_;
  size_t bytes_;
  std::vector<float> values_;
};

// Pages are their canonical bytes, zero at first.
class FakeKvPool : public KvPool {
 public:
  FakeKvPool(const ClassLayout& layout, int num_pages);
  const ClassLayout& layout() const override { return layout_; }
  int num_pages() const override { return static_cast<int>(pages_.size()); }
  size_t bytes() const override { return pages_.size() * layout_.page_bytes; }
  void ExportPage(int slot, std::span<std::byte> canonical) const override;
  void ImportPage(int slot, std::span<const std::byte> canonical) override;

 private:
  ClassLayout layout_;
  std::vector<std::vector<std::byte>> pages_;
};

// Logits of a row: vocab zeros but a 1 at the row's own token; Sample therefore echoes the token.
class FakeBackend : public Backend {
 public:
  explicit FakeBackend(FakeScript* script) : script_(script) {}
  int abi_version() const override { return kBackendAbi; }
  std::string_view name() const override { return "fake"; }
  int num_threads() const override { return 1; }
  absl::StatusOr<std::unique_ptr<Linear>> LoadLinear(const LinearSpec& spec) override;
  absl::StatusOr<std::unique_ptr<KvPool>> CreateKvPool(const ClassLayout& layout,
                                                       int num_pages) override;
  absl::StatusOr<std::unique_ptr<ComputeContext>> CreateContext(
      const ContextOptions& options) override;
  std::vector<KernelChoice> Kernels(const ContextOptions& options) const override;

 private:
  FakeScript* script_;
};

}  // namespace intactkv::test
