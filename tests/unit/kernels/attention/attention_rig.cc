#include "tests/unit/kernels/attention/attention_rig.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "kernels/quant/page_pack.h"
#include "kernels/quant/page_quantizer.h"

namespace intactkv {
namespace {

constexpr uint64_t kPrefixSeed = 77;
constexpr int kMaxHeads = 8;

std::unique_ptr<CpuKvPool> PoisonedPool(const ClassLayout& layout, int pages) {
  auto pool = MakeCpuKvPool(layout, pages);
  CHECK(pool.ok());
  std::unique_ptr<CpuKvPool> out(static_cast<CpuKvPool*>(pool.value().release()));
  if (pages > 0) std::memset(out->PageData(0), 0xff, out->bytes());  // NaN as fp32 and as fp16
  return out;
}

// Standard normal values (Box and Muller); drawing from a table keeps the tests fast.
std::vector<float> GaussianTable() {
  std::vector<float> out(1 << 16);
  Rng rng(4);
  for (float& x : out) {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - rng.Unit()));
    x = static_cast<float>(radius * std::cos(2 * std::numbers::pi * rng.Unit()));
  }
  return out;
}

// Element `index` of row `position`.
float At(const std::vector<float>& rows, size_t width, int position, int index) {
  return rows.at(static_cast<size_t>(position) * width + static_cast<size_t>(index));
}

// NaN if any is.
double Largest(const std::vector<double>& errors) {
  double out = 0;
  for (const double error : errors) {
    if (std::isnan(error)) return error;
    out = std::max(out, error);
  }
  return out;
}

}  // namespace

std::vector<Isa> HostIsas() {
  std::vector<Isa> out;
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= HostIsa()) out.push_back(isa);
  }
  return out;
}

AttentionRig::AttentionRig(const RigOptions& options) : options_(options) {
  CHECK_LE(options.kv_heads, kMaxHeads);
  const int num_sequences = static_cast<int>(options.pinned_tokens.size());
  const KvShape shape{options.num_layers, options.kv_heads, options.head_dim};
  pages_per_sequence_ = BlocksFor(options.max_tokens);
  pinned_ = PoisonedPool(MakeClassLayout(shape, options.pinned), pages_per_sequence_);
  stored_ =
      PoisonedPool(MakeClassLayout(shape, options.stored), pages_per_sequence_ * num_sequences);
  hot_ = PoisonedPool(MakeClassLayout(shape, kKvF32), num_sequences);
  pool_ = std::make_unique<ThreadPool>(options.threads);
  context_.shape.num_layers = options.num_layers;
  context_.shape.num_kv_heads = options.kv_heads;
  context_.shape.num_q_heads = options.kv_heads * options.group;
  context_.shape.head_dim = options.head_dim;
  context_.shape.attention_scale = 1.0f / std::sqrt(static_cast<float>(options.head_dim));
  context_.kv = {pinned_.get(), stored_.get(), hot_.get()};
  context_.max_rows = options.max_rows;
  context_.max_sequences = num_sequences;
  context_.max_context = options.max_tokens;
  auto attention = KvAttention::Create(context_, options.isa, pool_.get());
  CHECK(attention.ok()) << attention.status().ToString();
  attention_ = std::move(attention).value();
  for (int i = 0; i < num_sequences; ++i) {
    sequences_.push_back({.pinned_tokens = options.pinned_tokens[static_cast<size_t>(i)],
                          .seed = 1000 + static_cast<uint64_t>(i)});
  }
  k_.resize(static_cast<size_t>(options.max_rows) * kv_dim());
  v_.resize(k_.size());
  q_.resize(k_.size() * static_cast<size_t>(options.group));
  out_.resize(q_.size());
  FillPinned();
}

float AttentionRig::Value(uint64_t seed, int layer, int position, int index) const {
  const uint64_t at = (static_cast<uint64_t>(layer) << 48) | static_cast<uint64_t>(position) << 20 |
                      static_cast<uint64_t>(index);
  static const std::vector<float> gaussians = GaussianTable();
  return gaussians[RandomBits(seed, at) % gaussians.size()];
}

float AttentionRig::KeyOf(const Sequence& sequence, int layer, int position, int index) const {
  if (options_.recorded != nullptr) {
    return sequence.k_factor * At(options_.recorded->k, kv_dim(), position, index);
  }
  const float x = sequence.k_factor * Value(sequence.seed, layer, position, index);
  if (!options_.strong_channels) return x;
  if (index % 16 == 3) return x + 40.0f;
  return index % 16 == 7 ? 6.0f * x : x;
}

float AttentionRig::ValueOf(const Sequence& sequence, int layer, int position, int index) const {
  if (options_.recorded != nullptr) {
    return sequence.v_factor * At(options_.recorded->v, kv_dim(), position, index);
  }
  const float x = sequence.v_factor * Value(sequence.seed, layer, position, index + (1 << 18));
  return options_.strong_channels && index % 16 == 5 ? 6.0f * x : x;
}

float AttentionRig::QueryOf(const Sequence& sequence, int layer, int position, int index) const {
  if (options_.recorded != nullptr) {
    return query_factor_ * At(options_.recorded->q, q_dim(), position, index);
  }
  return query_factor_ * options_.query_std *
         Value(sequence.seed, layer, position, index + (1 << 19));
}

// Writes the longest prefix that any sequence uses; what lies behind it stays NaN.
void AttentionRig::FillPinned() {
  const int tokens =
      *std::max_element(options_.pinned_tokens.begin(), options_.pinned_tokens.end());
  const size_t dim = static_cast<size_t>(options_.head_dim);
  const KvFormat format = options_.pinned;
  const SliceLayout f32 = MakeSliceLayout(kKvF32, options_.head_dim);
  const ClassLayout& layout = pinned_->layout();
  std::vector<std::byte> slice(f32.bytes);
  std::vector<std::byte> canonical(CanonicalSliceBytes(format, options_.head_dim));
  for (int i = 0; i < BlocksFor(tokens) * options_.num_layers * options_.kv_heads; ++i) {
    const int head = i % options_.kv_heads;
    const int layer = i / options_.kv_heads % options_.num_layers;
    const int page = i / options_.kv_heads / options_.num_layers;
    const int valid = std::min(kPageTokens, tokens - page * kPageTokens);
    for (int t = 0; t < valid; ++t) {
      FillRow({.seed = kPrefixSeed}, layer, page * kPageTokens + t, 0);
      const float* const kv[2] = {k_.data() + static_cast<size_t>(head) * dim,
                                  v_.data() + static_cast<size_t>(head) * dim};
      WriteF32Token(f32, options_.head_dim, t, kv, slice.data());
    }
    std::byte* to = pinned_->PageData(page) + layout.SliceOffset(layer, head);
    PromoteSlice({slice.data(), options_.head_dim, format, valid}, to);
    UnpackSlice(format, options_.head_dim, to, canonical);
    const size_t side = canonical.size() / 2;
    const size_t used = side / kPageTokens * static_cast<size_t>(valid);
    std::memset(canonical.data() + used, 0xff, side - used);
    std::memset(canonical.data() + side + used, 0xff, side - used);
    PackSlice(format, options_.head_dim, canonical, to);
  }
}

void AttentionRig::FillRow(const Sequence& sequence, int layer, int position, size_t row) {
  for (size_t i = 0; i < kv_dim(); ++i) {
    const int index = static_cast<int>(i);
    k_[row * kv_dim() + i] = KeyOf(sequence, layer, position, index);
    v_[row * kv_dim() + i] = ValueOf(sequence, layer, position, index);
  }
  for (size_t i = 0; i < q_dim(); ++i) {
    q_[row * q_dim() + i] = QueryOf(sequence, layer, position, static_cast<int>(i));
  }
}

PageEntry AttentionRig::StoredEntry(int sequence, int page) const {
  const int reversed = pages_per_sequence_ - 1 - page;  // not in ascending order
  return {PageClass::kStored, reversed * static_cast<int>(sequences_.size()) + sequence};
}

void AttentionRig::AddSequence(Batch& batch, const Part& part,
                               std::vector<PageEntry>& stored) const {
  const Sequence& s = sequences_[static_cast<size_t>(part.sequence)];
  const int end = s.next + part.num_rows;
  const int index = static_cast<int>(batch.sequences.size());
  batch.sequences.push_back({.first_row = batch.num_rows(),
                             .num_rows = part.num_rows,
                             .first_position = s.pinned_tokens + s.next,
                             .num_pinned_tokens = s.pinned_tokens,
                             .pinned_begin = 0,
                             .stored_begin = static_cast<int>(stored.size()),
                             .num_stored = BlocksFor(end),
                             .hot_slot = part.sequence});
  for (int i = 0; i < part.num_rows; ++i) {
    batch.tokens.push_back(0);
    batch.positions.push_back(s.pinned_tokens + s.next + i);
  }
  for (int page = 0; page < BlocksFor(end); ++page) {
    stored.push_back(StoredEntry(part.sequence, page));
  }
  for (int page = s.next / kPageTokens; (page + 1) * kPageTokens <= end; ++page) {
    batch.promotions.push_back({.sequence = index, .page = page});
  }
}

void AttentionRig::Step(const std::vector<Part>& parts) {
  Batch batch;
  for (int page = 0; page < pages_per_sequence_; ++page) {
    batch.pinned_entries.push_back({PageClass::kPinned, page});
  }
  for (const Part& part : parts) AddSequence(batch, part, batch.stored_entries);
  const absl::Status status = attention_->Begin(batch);
  CHECK(status.ok()) << status.ToString();
  for (int layer = options_.num_layers - 1; layer >= 0; --layer) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const BatchSequence& s = batch.sequences[i];
      for (int row = 0; row < s.num_rows; ++row) {
        FillRow(sequences_[static_cast<size_t>(parts[i].sequence)], layer, s.first_position + row,
                static_cast<size_t>(s.first_row + row));
      }
    }
    attention_->Append(layer, k_.data(), v_.data());
    attention_->Attend(layer, q_.data(), out_.data());
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    Sequence& s = sequences_[static_cast<size_t>(parts[i].sequence)];
    for (int row = 0; row < parts[i].num_rows; ++row) {
      const float* from =
          out_.data() + static_cast<size_t>(batch.sequences[i].first_row + row) * q_dim();
      s.outputs.emplace_back(from, from + q_dim());
    }
    s.next += parts[i].num_rows;
  }
}

void AttentionRig::Run(const std::vector<int>& chunks) {
  for (const int chunk : chunks) Step({{0, chunk}});
}

std::vector<float> AttentionRig::Peek(int sequence, int first, int num_rows) {
  Batch batch;
  for (int page = 0; page < pages_per_sequence_; ++page) {
    batch.pinned_entries.push_back({PageClass::kPinned, page});
  }
  batch.sequences.push_back(
      {.num_rows = num_rows,
       .first_position = first,
       .num_pinned_tokens = sequences_[static_cast<size_t>(sequence)].pinned_tokens,
       .append = false});
  for (int i = 0; i < num_rows; ++i) {
    batch.tokens.push_back(0);
    batch.positions.push_back(first + i);
    FillRow(sequences_[static_cast<size_t>(sequence)], 0, first + i, static_cast<size_t>(i));
  }
  const absl::Status status = attention_->Begin(batch);
  CHECK(status.ok()) << status.ToString();
  attention_->Append(0, k_.data(), v_.data());
  attention_->Attend(0, q_.data(), out_.data());
  return {out_.begin(),
          out_.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(num_rows) * q_dim())};
}

std::span<const float> AttentionRig::Output(int sequence, int token) const {
  return sequences_[static_cast<size_t>(sequence)].outputs[static_cast<size_t>(token)];
}

int AttentionRig::num_tokens(int sequence) const {
  return sequences_[static_cast<size_t>(sequence)].next;
}

void AttentionRig::AppendPinned(int tokens, int head, RefKv& out) const {
  std::vector<std::byte> canonical(CanonicalSliceBytes(options_.pinned, options_.head_dim));
  for (int first = 0; first < tokens; first += kPageTokens) {
    UnpackSlice(options_.pinned, options_.head_dim,
                pinned_->PageData(first / kPageTokens) + pinned_->layout().SliceOffset(0, head),
                canonical);
    RefAppendSlice(options_.pinned, options_.head_dim, canonical,
                   std::min(kPageTokens, tokens - first), out);
  }
}

void AttentionRig::AppendOriginal(const Sequence& s, int first, int end, Heads& out) const {
  for (size_t head = 0; head < out.size(); ++head) {
    for (int i = first * options_.head_dim; i < end * options_.head_dim; ++i) {
      const int index = static_cast<int>(head) * options_.head_dim + i % options_.head_dim;
      const int position = s.pinned_tokens + i / options_.head_dim;
      out[head].k.push_back(static_cast<double>(KeyOf(s, 0, position, index)));
      out[head].v.push_back(static_cast<double>(ValueOf(s, 0, position, index)));
    }
  }
}

AttentionRig::Heads AttentionRig::Readable(int sequence, int token) const {
  const Sequence& s = sequences_[static_cast<size_t>(sequence)];
  Heads heads(static_cast<size_t>(options_.kv_heads));
  const int own = token / kPageTokens * kPageTokens;
  std::vector<std::byte> canonical(CanonicalSliceBytes(options_.stored, options_.head_dim));
  for (int head = 0; head < options_.kv_heads; ++head) {
    RefKv& out = heads[static_cast<size_t>(head)];
    AppendPinned(s.pinned_tokens, head, out);
    for (int page = 0; page < own / kPageTokens; ++page) {
      UnpackSlice(options_.stored, options_.head_dim,
                  stored_->PageData(StoredEntry(sequence, page).slot()) +
                      stored_->layout().SliceOffset(0, head),
                  canonical);
      RefAppendSlice(options_.stored, options_.head_dim, canonical, kPageTokens, out);
    }
  }
  AppendOriginal(s, own, token + 1, heads);
  return heads;
}

std::vector<double> AttentionRig::HeadErrors(int sequence, int token) const {
  const Sequence& s = sequences_[static_cast<size_t>(sequence)];
  const std::span<const float> out = Output(sequence, token);
  return RelativeErrors(std::vector<double>(out.begin(), out.end()),
                        Expected(Readable(sequence, token), s, s.pinned_tokens + token));
}

double AttentionRig::Error(int sequence, int token) const {
  return Largest(HeadErrors(sequence, token));
}

std::vector<double> AttentionRig::HeadStorageErrors(int sequence, int token) const {
  const Sequence& s = sequences_[static_cast<size_t>(sequence)];
  Heads original(static_cast<size_t>(options_.kv_heads));
  for (int head = 0; head < options_.kv_heads; ++head) {
    AppendPinned(s.pinned_tokens, head, original[static_cast<size_t>(head)]);
  }
  AppendOriginal(s, 0, token + 1, original);
  const int position = s.pinned_tokens + token;
  return RelativeErrors(Expected(Readable(sequence, token), s, position),
                        Expected(original, s, position));
}

double AttentionRig::StorageError(int sequence, int token) const {
  return Largest(HeadStorageErrors(sequence, token));
}

double AttentionRig::PeekError(int sequence, int position, std::span<const float> row) const {
  Heads heads(static_cast<size_t>(options_.kv_heads));
  for (int head = 0; head < options_.kv_heads; ++head) {
    AppendPinned(position + 1, head, heads[static_cast<size_t>(head)]);
  }
  return Largest(
      RelativeErrors(std::vector<double>(row.begin(), row.end()),
                     Expected(heads, sequences_[static_cast<size_t>(sequence)], position)));
}

std::vector<double> AttentionRig::Expected(const Heads& heads, const Sequence& sequence,
                                           int position) const {
  const size_t dim = static_cast<size_t>(options_.head_dim);
  std::vector<double> out;
  for (int head = 0; head < context_.shape.num_q_heads; ++head) {
    std::vector<float> q(dim);
    for (size_t d = 0; d < dim; ++d) {
      q[d] = QueryOf(sequence, 0, position, head * options_.head_dim + static_cast<int>(d));
    }
    const std::vector<double> row =
        RefAttention(q, static_cast<double>(context_.shape.attention_scale),
                     heads[static_cast<size_t>(head / options_.group)]);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

std::vector<double> AttentionRig::RelativeErrors(std::span<const double> got,
                                                 std::span<const double> want) const {
  const size_t dim = static_cast<size_t>(options_.head_dim);
  std::vector<double> out;
  for (size_t first = 0; first < want.size(); first += dim) {
    double error = 0;
    double norm = 0;
    for (size_t i = first; i < first + dim; ++i) {
      error += (got[i] - want[i]) * (got[i] - want[i]);
      norm += want[i] * want[i];
    }
    out.push_back(std::sqrt(error / norm));
  }
  return out;
}

void AttentionRig::ScaleKv(int sequence, float k_factor, float v_factor) {
  sequences_[static_cast<size_t>(sequence)].k_factor = k_factor;
  sequences_[static_cast<size_t>(sequence)].v_factor = v_factor;
}

}  // namespace intactkv
