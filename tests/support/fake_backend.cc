#include "tests/support/fake_backend.h"

#include <algorithm>
#include <cctype>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/model/gguf.h"
#include "tests/support/gguf_writer.h"

namespace intactkv::test {
namespace {

const std::string& NameOf(const Linear* linear) {
  return dynamic_cast<const FakeLinear&>(*linear).name();
}

std::string FormatOf(const LinearSpec& spec) {
  switch (spec.format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kBF16:
      return "bf16";
    case WeightFormat::kInt8:
      return "int8";
    case WeightFormat::kInt4:
      return "int4";
    case WeightFormat::kStored:
      break;
  }
  if (TensorBlockElements(spec.tensor.type) == 1) return "int4";
  std::string name(TensorTypeName(spec.tensor.type));
  for (char& c : name) c = static_cast<char>(std::tolower(c));
  return name;
}

std::span<const std::byte> TensorBytes(const HostTensor& tensor) {
  const int64_t blocks = tensor.rows * tensor.cols / TensorBlockElements(tensor.type);
  return {tensor.data, static_cast<size_t>(blocks * TensorBlockBytes(tensor.type))};
}

class FakeContext : public ComputeContext {
 public:
  FakeContext(const ContextOptions& options, FakeScript* script)
      : vocab_(static_cast<size_t>(options.shape.vocab)), script_(*script) {}

  absl::Status Begin(const Batch& batch) override {
    script_.calls.push_back("begin");
    script_.batches.push_back(batch);
    RETURN_IF_ERROR(script_.begin_status);
    health_ = script_.health;
    health_.resize(batch.sequences.size());
    return absl::OkStatus();
  }
  void Embed(const Linear& table) override { script_.calls.push_back("embed " + NameOf(&table)); }
  void QkvAppend(int layer, const AttentionWeights& weights) override {
    script_.calls.push_back("qkv " + std::to_string(layer) + " " + NameOf(weights.q));
  }
  void Attention(int layer) override {
    script_.calls.push_back("attention " + std::to_string(layer));
  }
  void OutProj(const AttentionWeights& weights) override {
    script_.calls.push_back("out " + NameOf(weights.o));
  }
  void Mlp(const MlpWeights& weights) override {
    script_.calls.push_back("mlp " + NameOf(weights.gate));
  }
  void Logits(std::span<const float> /*norm*/, const Linear& head) override {
    script_.calls.push_back("logits " + NameOf(&head));
    const Batch& batch = script_.batches.back();
    logits_.assign(batch.logits_rows.size() * vocab_, 0.0f);
    for (size_t i = 0; i < batch.logits_rows.size(); ++i) {
      const size_t row = static_cast<size_t>(batch.logits_rows[i]);
      logits_[i * vocab_ + static_cast<size_t>(batch.tokens[row])] = 1.0f;
    }
  }
  void Sample(std::span<const SampleRow> rows, std::span<SampledToken> out) override {
    script_.calls.push_back("sample");
    CHECK_EQ(rows.size(), out.size());
    const Batch& batch = script_.batches.back();
    for (size_t i = 0; i < out.size(); ++i) {
      out[i].token = TokenId(batch.tokens[static_cast<size_t>(batch.logits_rows[i])]);
    }
  }
  std::span<const float> logits() const override { return logits_; }
  std::span<const SequenceHealth> health() const override { return health_; }
  size_t scratch_bytes() const override { return 4096; }

 private:
  size_t vocab_;
  FakeScript& script_;
  std::vector<float> logits_;
  std::vector<SequenceHealth> health_;
};

}  // namespace

FakeLinear::FakeLinear(const LinearSpec& spec)
    : name_(spec.tensor.name),
      format_(FormatOf(spec)),
      rows_(spec.tensor.rows),
      cols_(spec.tensor.cols),
      bytes_(TensorBytes(spec.tensor).size()),
      values_(DecodeTensor(spec.tensor.type, TensorBytes(spec.tensor))) {}

void FakeLinear::DequantizeRow(int64_t row, float* out) const {
  std::copy_n(values_.begin() + row * cols_, cols_, out);
}

FakeKvPool::FakeKvPool(const ClassLayout& layout, int num_pages)
    : layout_(layout),
      pages_(static_cast<size_t>(num_pages), std::vector<std::byte>(CanonicalPageBytes(layout))) {}

void FakeKvPool::ExportPage(int slot, std::span<std::byte> canonical) const {
  const std::vector<std::byte>& page = pages_.at(static_cast<size_t>(slot));
  CHECK_EQ(canonical.size(), page.size());
  std::copy(page.begin(), page.end(), canonical.begin());
}

void FakeKvPool::ImportPage(int slot, std::span<const std::byte> canonical) {
  std::vector<std::byte>& page = pages_.at(static_cast<size_t>(slot));
  CHECK_EQ(canonical.size(), page.size());
  page.assign(canonical.begin(), canonical.end());
}

absl::StatusOr<std::unique_ptr<Linear>> FakeBackend::LoadLinear(const LinearSpec& spec) {
  if (spec.tensor.name == script_->refuse_tensor) {
    return Unimplemented("tensor '" + spec.tensor.name + "' is refused");
  }
  script_->loaded.push_back(spec);
  return std::make_unique<FakeLinear>(spec);
}

absl::StatusOr<std::unique_ptr<KvPool>> FakeBackend::CreateKvPool(const ClassLayout& layout,
                                                                  int num_pages) {
  return std::make_unique<FakeKvPool>(layout, num_pages);
}

absl::StatusOr<std::unique_ptr<ComputeContext>> FakeBackend::CreateContext(
    const ContextOptions& options) {
  script_->contexts.push_back(options);
  return std::make_unique<FakeContext>(options, script_);
}

std::vector<KernelChoice> FakeBackend::Kernels(const ContextOptions& /*options*/) const {
  return {{"everything", "fake"}};
}

}  // namespace intactkv::test
