// Runs KvAttention over made-up or recorded sequences and keeps what it gave, for the attention
// tests.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/cpu/kv_attention.h"
#include "kernels/cpu/kv_pool.h"
#include "kernels/ref/attention.h"

namespace intactkv {

// What one layer of a model gave to attention: rows of [heads * head_dim], by position; q and k
// after RoPE.
struct RecordedRows {
  std::vector<float> q, k, v;
};

struct RigOptions {
  Isa isa = Isa::kScalar;
  int threads = 1;
  int num_layers = 1;
  int kv_heads = 1;
  int group = 1;
  int head_dim = 64;
  KvFormat pinned = kKvF32;
  KvFormat stored = kKvI8C;
  std::vector<int> pinned_tokens = {0};  // c of each sequence
  int max_tokens = 1200;                 // highest position + 1
  int max_rows = 1200;
  // Some channels of K are large and constant, some of K and V many times as strong as the others.
  bool strong_channels = false;
  float query_std = 1.4f;  // with K of standard deviation 1 and scale 1/sqrt(D): that of the scores
  // Taken instead of made-up rows, by every layer of every sequence. Not owned.
  const RecordedRows* recorded = nullptr;
};

// Instruction sets that this machine can run.
std::vector<Isa> HostIsas();

// K, V and q of a token depend on (sequence's seed, layer, position) only; sequences share the
// pinned prefix. Memory that no row may read holds NaN. Thread-compatible.
class AttentionRig {
 public:
  explicit AttentionRig(const RigOptions& options);

  struct Part {
    int sequence = 0;
    int num_rows = 1;
  };
  // One step over all layers: the next num_rows tokens of each part, promotions included.
  void Step(const std::vector<Part>& parts);
  // The next tokens of sequence 0 in chunks.
  void Run(const std::vector<int>& chunks);
  // Rows first..first+num_rows-1 below c of a sequence, without appending; returns their output.
  std::vector<float> Peek(int sequence, int first, int num_rows);

  // [query heads * head_dim] of private token i; layer 0.
  std::span<const float> Output(int sequence, int token) const;
  int num_tokens(int sequence) const;
  // Relative L2 error of each query head of that row against double precision.
  std::vector<double> HeadErrors(int sequence, int token) const;
  double Error(int sequence, int token) const;  // the largest of them
  // The same between stored pages and what they were made from, both in double precision.
  std::vector<double> HeadStorageErrors(int sequence, int token) const;
  double StorageError(int sequence, int token) const;
  double PeekError(int sequence, int position, std::span<const float> row) const;

  // Multiplies what follows of K and V of a sequence (infinity and NaN are allowed).
  void ScaleKv(int sequence, float k_factor, float v_factor);
  void ScaleKv(int sequence, float factor) { ScaleKv(sequence, factor, factor); }
  void ScaleQueries(float factor) { query_factor_ = factor; }
  std::span<const SequenceHealth> health() const { return attention_->health(); }
  KvAttention& attention() { return *attention_; }
  CpuKvPool& pinned() { return *pinned_; }
  CpuKvPool& stored() { return *stored_; }
  const ContextOptions& context() const { return context_; }

 private:
  struct Sequence {
    int pinned_tokens = 0;
    int next = 0;  // private tokens so far
    uint64_t seed = 0;
    float k_factor = 1.0f, v_factor = 1.0f;
    std::vector<std::vector<float>> outputs = {};
  };
  size_t kv_dim() const { return static_cast<size_t>(options_.kv_heads * options_.head_dim); }
  size_t q_dim() const { return kv_dim() * static_cast<size_t>(options_.group); }
  void FillPinned();
  void FillRow(const Sequence& sequence, int layer, int position, size_t row);
  void AddSequence(Batch& batch, const Part& part, std::vector<PageEntry>& stored) const;
  PageEntry StoredEntry(int sequence, int page) const;
  using Heads = std::vector<RefKv>;  // by KV head
  // What the row of private token `token` reads, in double precision.
  Heads Readable(int sequence, int token) const;
  std::vector<double> Expected(const Heads& heads, const Sequence& sequence, int position) const;
  std::vector<double> RelativeErrors(std::span<const double> got,
                                     std::span<const double> want) const;
  void AppendOriginal(const Sequence& s, int first, int end, Heads& out) const;
  void AppendPinned(int tokens, int head, RefKv& out) const;
  float Value(uint64_t seed, int layer, int position, int index) const;
  // Element `index` of all heads' K, V or q.
  float KeyOf(const Sequence& sequence, int layer, int position, int index) const;
  float ValueOf(const Sequence& sequence, int layer, int position, int index) const;
  float QueryOf(const Sequence& sequence, int layer, int position, int index) const;

  RigOptions options_;
  ContextOptions context_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<CpuKvPool> pinned_, stored_, hot_;
  std::unique_ptr<KvAttention> attention_;
  std::vector<Sequence> sequences_;
  int pages_per_sequence_ = 0;
  float query_factor_ = 1.0f;
  std::vector<float> k_, v_, q_, out_;
};

}  // namespace intactkv
