#include "kernels/cpu/kv_attention.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "kernels/cpu/attn_kernels.h"
#include "kernels/cpu/kv_plan.h"
#include "kernels/cpu/kv_pool.h"
#include "kernels/quant/page_pack.h"
#include "kernels/quant/page_quantizer.h"

namespace intactkv {
namespace {

constexpr int kItemTokens = kAttnItemPages * kPageTokens;

// 64-byte aligned floats, touched at once. Thread-compatible.
class AlignedFloats {
 public:
  explicit AlignedFloats(size_t count)
      : bytes_((count * sizeof(float) + 63) / 64 * 64),
        data_(static_cast<float*>(std::aligned_alloc(64, std::max<size_t>(bytes_, 64)))) {
    CHECK(data_ != nullptr) << bytes_ << " bytes";
    std::memset(data_.get(), 0, bytes_);
  }
  float* data() { return data_.get(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  size_t bytes_;
  std::unique_ptr<float, Free> data_;
};

struct Pools {
  CpuKvPool* pinned = nullptr;  // may be null
  CpuKvPool* stored = nullptr;
  CpuKvPool* hot = nullptr;
};

// What one attention runs on; `scratch` holds one layer.
struct Parts {
  Pools pools;
  const AttnKernels& kernels;
  std::unique_ptr<CpuKvPool> scratch;
  ThreadPool* threads;
};

enum class Segment { kPinned, kStored, kOwn };

std::string KernelName(KvFormat format, int head_dim, const AttnKernels& kernels) {
  return "attn_" + std::string(KvFormatName(format)) + "_d" + std::to_string(head_dim) + "__" +
         kernels.isa_suffix;
}

// In the order of the layers that have them first.
std::vector<KvFormat> DistinctFormats(const ClassLayout& layout) {
  std::vector<KvFormat> out;
  for (const ClassLayout::Layer& layer : layout.layers) {
    if (std::find(out.begin(), out.end(), layer.format) == out.end()) out.push_back(layer.format);
  }
  return out;
}

absl::Status CheckPool(const KvPool* pool, const ModelShape& shape, Segment segment) {
  const char* name = segment == Segment::kPinned ? "pinned" : "stored";
  if (segment == Segment::kOwn) name = "hot";
  if (dynamic_cast<const CpuKvPool*>(pool) == nullptr) {
    return InvalidArgument(std::string(name) + " pages are not in a CPU pool");
  }
  const ClassLayout& layout = pool->layout();
  if (layout.shape != KvShape{shape.num_layers, shape.num_kv_heads, shape.head_dim}) {
    return InvalidArgument(std::string(name) + " pages have another shape than the model");
  }
  for (const ClassLayout::Layer& layer : layout.layers) {
    const bool known = AttnItemFn(ScalarAttnKernels(), layer.format) != nullptr;
    const bool allowed = segment == Segment::kStored   ? known
                         : segment == Segment::kPinned ? IsFloat(layer.format)
                                                       : layer.format == kKvF32;
    if (!allowed) {
      return Unimplemented(std::string(name) + " pages in " +
                           std::string(KvFormatName(layer.format)));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOptions(const ContextOptions& options) {
  const ModelShape& shape = options.shape;
  if (shape.head_dim < 32 || shape.head_dim > 256 || shape.head_dim % 32 != 0) {
    return Unimplemented("head size " + std::to_string(shape.head_dim) +
                         ": use a multiple of 32 up to 256");
  }
  if (shape.num_layers < 1 || shape.num_kv_heads < 1 || shape.num_q_heads < shape.num_kv_heads ||
      shape.num_q_heads % shape.num_kv_heads != 0) {
    return InvalidArgument(std::to_string(shape.num_q_heads) + " query heads on " +
                           std::to_string(shape.num_kv_heads) + " KV heads");
  }
  if (options.max_rows < 1 || options.max_sequences < 1 || options.max_context < 1) {
    return InvalidArgument("a context needs at least one row, one sequence and one position");
  }
  if (options.kv.pinned != nullptr) {
    RETURN_IF_ERROR(CheckPool(options.kv.pinned, shape, Segment::kPinned));
  }
  RETURN_IF_ERROR(CheckPool(options.kv.stored, shape, Segment::kStored));
  return CheckPool(options.kv.hot, shape, Segment::kOwn);
}

bool AllFinite(const float* x, int count) {
  uint32_t bad = 0;
  for (int i = 0; i < count; ++i) {
    bad |= static_cast<uint32_t>((std::bit_cast<uint32_t>(x[i]) & 0x7f800000u) == 0x7f800000u);
  }
  return bad == 0;
}

// (tile, head) pairs whose items may be spread over threads.
size_t MaxSplit(int num_threads) {
  return num_threads > 1 ? 4 * static_cast<size_t>(num_threads) : 0;
}

KvPlanLimits LimitsOf(const ContextOptions& options) {
  const ModelShape& shape = options.shape;
  return {.max_rows = options.max_rows,
          .max_sequences = options.max_sequences,
          .max_context = options.max_context,
          .group = shape.num_q_heads / shape.num_kv_heads,
          .num_pinned_pages = options.kv.pinned == nullptr ? 0 : options.kv.pinned->num_pages(),
          .num_stored_pages = options.kv.stored->num_pages(),
          .num_hot_pages = options.kv.hot->num_pages(),
          .partial_promotions = TakesPartialPages(options.kv.stored->layout())};
}

// One layer in full precision.
ClassLayout ScratchLayout(const ModelShape& shape) {
  return MakeClassLayout({1, shape.num_kv_heads, shape.head_dim}, kKvF32);
}

class CpuKvAttention final : public KvAttention {
 public:
  CpuKvAttention(const ContextOptions& options, const KvPlanLimits& limits, Parts parts);

  absl::Status Begin(const Batch& batch) override;
  void Append(int layer, const float* k, const float* v) override;
  void Attend(int layer, const float* q, float* out) override;
  std::span<const SequenceHealth> health() const override {
    return {health_.data(), num_sequences_};
  }
  size_t scratch_bytes() const override {
    return scratch_->bytes() + states_.bytes() + partials_.bytes() +
           partial_states_.size() * sizeof(AttnState);
  }

 private:
  // Where one kernel call finds things.
  struct Call {
    const RowTile& tile;
    int layer;
    int head;
    const float* q;
  };

  const BatchSequence& Sequence(int index) const {
    return batch_->sequences[static_cast<size_t>(index)];
  }
  std::byte* OwnSlice(const TouchedPage& touched, int layer, int head) const;
  std::byte* HotSlice(const TouchedPage& touched, int layer, int head) const;
  void AppendPage(const TouchedPage& touched, int layer, int head, const float* const (&kv)[2]);
  void CopyBack(const TouchedPage& touched, int layer, int head) const;
  // Row of the batch of pair `row` of the tile, and its query head.
  int BatchRow(const RowTile& tile, int row) const {
    return tile.first_row + (tile.first_pair + row) / limits_.group;
  }
  size_t QueryOffset(const RowTile& tile, int row, int head) const;
  Segment FillItem(const Call& call, int number, AttnItem& item) const;
  void RunItem(const Call& call, int number, AttnState& out) const;
  AttnState WorkerState(int worker, int which);
  AttnState EmptyState(float* o) const;
  void AttendTile(const Call& call, int worker, float* out);
  void AttendSplit(int layer, const float* q, float* out);

  const ModelShape shape_;
  const KvPlanLimits limits_;
  const Pools pools_;
  const AttnKernels& kernels_;
  const std::unique_ptr<CpuKvPool> scratch_;  // one layer
  ThreadPool* const pool_;
  const int max_items_;
  const size_t max_split_;
  KvPlan plan_;
  const Batch* batch_ = nullptr;
  // The batch may be gone when health() is read; only Begin..Attend may follow batch_.
  size_t num_sequences_ = 0;
  std::vector<SequenceHealth> health_;
  std::vector<int> copy_back_;  // indices of touched pages
  size_t state_floats_;
  AlignedFloats states_;    // two outputs per worker
  AlignedFloats partials_;  // [max_split][max_items] outputs
  std::vector<AttnState> partial_states_;
};

CpuKvAttention::CpuKvAttention(const ContextOptions& options, const KvPlanLimits& limits,
                               Parts parts)
    : shape_(options.shape),
      limits_(limits),
      pools_(parts.pools),
      kernels_(parts.kernels),
      scratch_(std::move(parts.scratch)),
      pool_(parts.threads),
      max_items_(MaxItemsPerRow(limits)),
      max_split_(MaxSplit(pool_->num_threads())),
      plan_(limits),
      health_(static_cast<size_t>(limits.max_sequences)),
      state_floats_(static_cast<size_t>(kAttnMaxRows * options.shape.head_dim)),
      states_(2 * state_floats_ * static_cast<size_t>(pool_->num_threads())),
      partials_(max_split_ * static_cast<size_t>(max_items_) * state_floats_),
      partial_states_(max_split_ * static_cast<size_t>(max_items_)) {
  copy_back_.reserve(static_cast<size_t>(limits.max_sequences));
  for (size_t i = 0; i < partial_states_.size(); ++i) {
    partial_states_[i].o = partials_.data() + i * state_floats_;
  }
}

absl::Status CpuKvAttention::Begin(const Batch& batch) {
  batch_ = nullptr;
  num_sequences_ = 0;
  copy_back_.clear();
  RETURN_IF_ERROR(plan_.Build(batch));
  batch_ = &batch;
  num_sequences_ = batch.sequences.size();
  std::fill(health_.begin(), health_.end(), SequenceHealth{});
  for (size_t i = 0; i < plan_.touched().size(); ++i) {
    if (plan_.touched()[i].copy_back) copy_back_.push_back(static_cast<int>(i));
  }
  return absl::OkStatus();
}

std::byte* CpuKvAttention::HotSlice(const TouchedPage& touched, int layer, int head) const {
  const int slot = Sequence(touched.sequence).hot_slot;
  return pools_.hot->PageData(slot) + pools_.hot->layout().SliceOffset(layer, head);
}

std::byte* CpuKvAttention::OwnSlice(const TouchedPage& touched, int layer, int head) const {
  if (touched.scratch < 0) return HotSlice(touched, layer, head);
  return scratch_->PageData(touched.scratch) + scratch_->layout().SliceOffset(0, head);
}

void CpuKvAttention::Append(int layer, const float* k, const float* v) {
  CHECK(batch_ != nullptr && layer >= 0 && layer < shape_.num_layers);
  const int heads = shape_.num_kv_heads;
  const int units = static_cast<int>(plan_.touched().size()) * heads;
  pool_->Run(units, [&](int unit, int) {
    const float* const kv[2] = {k, v};
    AppendPage(plan_.touched()[static_cast<size_t>(unit / heads)], layer, unit % heads, kv);
  });
}

void CpuKvAttention::AppendPage(const TouchedPage& touched, int layer, int head,
                                const float* const (&kv)[2]) {
  const size_t dim = static_cast<size_t>(shape_.head_dim);
  const size_t row_floats = dim * static_cast<size_t>(shape_.num_kv_heads);
  const SliceLayout& hot = pools_.hot->layout().layers[static_cast<size_t>(layer)].slice;
  std::byte* slice = OwnSlice(touched, layer, head);
  if (touched.copy_in) std::memcpy(slice, HotSlice(touched, layer, head), hot.bytes);
  QuantizeHealth health;
  for (int i = 0; i < touched.num_tokens; ++i) {
    const size_t offset =
        static_cast<size_t>(touched.first_row + i) * row_floats + static_cast<size_t>(head) * dim;
    const float* const token[2] = {kv[0] + offset, kv[1] + offset};
    WriteF32Token(hot, shape_.head_dim, touched.first_lane + i, token, slice);
    health.non_finite |= !AllFinite(token[0], shape_.head_dim);
    health.non_finite |= !AllFinite(token[1], shape_.head_dim);
  }
  if (touched.promote_valid != 0) {
    const BatchSequence& sequence = Sequence(touched.sequence);
    const size_t entry = static_cast<size_t>(sequence.stored_begin + touched.page);
    const ClassLayout& stored = pools_.stored->layout();
    std::byte* to = pools_.stored->PageData(batch_->stored_entries[entry].slot()) +
                    stored.SliceOffset(layer, head);
    const QuantizeHealth promoted =
        PromoteSlice({.f32_slice = slice,
                      .head_dim = shape_.head_dim,
                      .to = stored.layers[static_cast<size_t>(layer)].format,
                      .num_valid = touched.promote_valid},
                     to);
    health.non_finite |= promoted.non_finite;
    health.num_clamped = promoted.num_clamped;
  }
  SequenceHealth& total = health_[static_cast<size_t>(touched.sequence)];
  if (health.non_finite) std::atomic_ref(total.non_finite).store(true, std::memory_order_relaxed);
  if (health.num_clamped != 0) {
    std::atomic_ref(total.num_clamped).fetch_add(health.num_clamped, std::memory_order_relaxed);
  }
}

void CpuKvAttention::CopyBack(const TouchedPage& touched, int layer, int head) const {
  const size_t bytes = pools_.hot->layout().layers[static_cast<size_t>(layer)].slice.bytes;
  std::memcpy(HotSlice(touched, layer, head), OwnSlice(touched, layer, head), bytes);
}

size_t CpuKvAttention::QueryOffset(const RowTile& tile, int row, int head) const {
  const int query_head = head * limits_.group + (tile.first_pair + row) % limits_.group;
  return static_cast<size_t>(BatchRow(tile, row)) *
             static_cast<size_t>(shape_.num_q_heads * shape_.head_dim) +
         static_cast<size_t>(query_head * shape_.head_dim);
}

// Describes item `number` of the tile: pinned items first, then stored ones, then the own page.
Segment CpuKvAttention::FillItem(const Call& call, int number, AttnItem& item) const {
  const RowTile& tile = call.tile;
  const BatchSequence& s = Sequence(tile.sequence);
  item.head_dim = shape_.head_dim;
  item.scale = shape_.attention_scale;
  item.num_rows = tile.num_rows;
  for (int row = 0; row < tile.num_rows; ++row) {
    item.q[row] = call.q + QueryOffset(tile, row, call.head);
  }
  const size_t layer = static_cast<size_t>(call.layer);
  if (number < tile.num_pinned_items) {
    const ClassLayout& layout = pools_.pinned->layout();
    item.slice = layout.layers[layer].slice;
    int pages = 0;
    for (int row = 0; row < tile.num_rows; ++row) {
      const int position = s.first_position + BatchRow(tile, row) - s.first_row;
      const int readable = s.append ? s.num_pinned_tokens : position + 1;
      item.limit[row] = std::clamp(readable - number * kItemTokens, 0, kItemTokens);
      pages = std::max(pages, BlocksFor(item.limit[row]));
    }
    for (int i = 0; i < pages; ++i) {
      const size_t entry = static_cast<size_t>(s.pinned_begin + number * kAttnItemPages + i);
      item.pages[i] = pools_.pinned->PageData(batch_->pinned_entries[entry].slot()) +
                      layout.SliceOffset(call.layer, call.head);
    }
    return Segment::kPinned;
  }
  const TouchedPage& own = plan_.touched()[static_cast<size_t>(tile.touched)];
  const int stored_number = number - tile.num_pinned_items;
  if (stored_number < tile.num_stored_items) {
    const ClassLayout& layout = pools_.stored->layout();
    item.slice = layout.layers[layer].slice;
    const int first = stored_number * kAttnItemPages;
    const int pages = std::min(kAttnItemPages, own.page - first);
    for (int row = 0; row < tile.num_rows; ++row) item.limit[row] = pages * kPageTokens;
    for (int i = 0; i < pages; ++i) {
      const size_t entry = static_cast<size_t>(s.stored_begin + first + i);
      item.pages[i] = pools_.stored->PageData(batch_->stored_entries[entry].slot()) +
                      layout.SliceOffset(call.layer, call.head);
    }
    return Segment::kStored;
  }
  item.slice = pools_.hot->layout().layers[layer].slice;
  for (int row = 0; row < tile.num_rows; ++row) {
    item.limit[row] = own.first_lane + BatchRow(tile, row) - own.first_row + 1;
  }
  item.pages[0] = OwnSlice(own, call.layer, call.head);
  return Segment::kOwn;
}

void CpuKvAttention::RunItem(const Call& call, int number, AttnState& out) const {
  AttnItem item;
  const Segment segment = FillItem(call, number, item);
  const CpuKvPool* pool = segment == Segment::kPinned   ? pools_.pinned
                          : segment == Segment::kStored ? pools_.stored
                                                        : pools_.hot;
  const KvFormat format = pool->layout().layers[static_cast<size_t>(call.layer)].format;
  AttnItemFn(kernels_, format)(item, out);
}

AttnState CpuKvAttention::WorkerState(int worker, int which) {
  return EmptyState(states_.data() + static_cast<size_t>(2 * worker + which) * state_floats_);
}

AttnState CpuKvAttention::EmptyState(float* o) const {
  AttnState state;
  state.o = o;
  std::fill_n(state.m, kAttnMaxRows, -std::numeric_limits<float>::infinity());
  std::fill_n(state.l, kAttnMaxRows, 0.0f);
  std::fill_n(o, state_floats_, 0.0f);
  return state;
}

void CpuKvAttention::AttendTile(const Call& call, int worker, float* out) {
  AttnState total = WorkerState(worker, 0);
  AttnState part = WorkerState(worker, 1);
  for (int number = 0; number < call.tile.num_items(); ++number) {
    RunItem(call, number, part);
    for (int row = 0; row < call.tile.num_rows; ++row) {
      kernels_.merge(part, row, shape_.head_dim, total);
    }
  }
  for (int row = 0; row < call.tile.num_rows; ++row) {
    kernels_.finish(total, row, shape_.head_dim, out + QueryOffset(call.tile, row, call.head));
  }
}

void CpuKvAttention::Attend(int layer, const float* q, float* out) {
  CHECK(batch_ != nullptr && layer >= 0 && layer < shape_.num_layers);
  const int heads = shape_.num_kv_heads;
  const int num_tiles = static_cast<int>(plan_.tiles().size());
  // Few rows over a long context: items go to different threads. Same items, same merge order.
  const size_t pairs = static_cast<size_t>(num_tiles * heads);
  if (pairs <= max_split_ && plan_.max_items() > 2) return AttendSplit(layer, q, out);
  const int copies = static_cast<int>(copy_back_.size()) * heads;
  pool_->Run(copies + num_tiles * heads, [&](int unit, int worker) {
    if (unit < copies) {
      const size_t touched = static_cast<size_t>(copy_back_[static_cast<size_t>(unit / heads)]);
      return CopyBack(plan_.touched()[touched], layer, unit % heads);
    }
    // Later rows read more: they go first.
    const int tile = num_tiles - 1 - (unit - copies) / heads;
    AttendTile({plan_.tiles()[static_cast<size_t>(tile)], layer, (unit - copies) % heads, q},
               worker, out);
  });
}

void CpuKvAttention::AttendSplit(int layer, const float* q, float* out) {
  const int heads = shape_.num_kv_heads;
  const int pairs = static_cast<int>(plan_.tiles().size()) * heads;
  const int copies = static_cast<int>(copy_back_.size()) * heads;
  const int numbers = plan_.max_items();
  const auto call_of = [&](int pair) {
    return Call{plan_.tiles()[static_cast<size_t>(pair / heads)], layer, pair % heads, q};
  };
  const auto state_of = [&](int pair, int number) -> AttnState& {
    return partial_states_[static_cast<size_t>(pair * max_items_ + number)];
  };
  pool_->Run(copies + pairs * numbers, [&](int unit, int) {
    if (unit < copies) {
      const size_t touched = static_cast<size_t>(copy_back_[static_cast<size_t>(unit / heads)]);
      return CopyBack(plan_.touched()[touched], layer, unit % heads);
    }
    const int pair = (unit - copies) / numbers;
    const int number = (unit - copies) % numbers;
    const Call call = call_of(pair);
    if (number < call.tile.num_items()) RunItem(call, number, state_of(pair, number));
  });
  pool_->Run(pairs, [&](int pair, int worker) {
    const Call call = call_of(pair);
    AttnState total = WorkerState(worker, 0);
    for (int row = 0; row < call.tile.num_rows; ++row) {
      for (int number = 0; number < call.tile.num_items(); ++number) {
        kernels_.merge(state_of(pair, number), row, shape_.head_dim, total);
      }
      kernels_.finish(total, row, shape_.head_dim, out + QueryOffset(call.tile, row, call.head));
    }
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<KvAttention>> KvAttention::Create(const ContextOptions& options,
                                                                 Isa isa, ThreadPool* pool) {
  RETURN_IF_ERROR(CheckOptions(options));
  const Pools pools = {dynamic_cast<CpuKvPool*>(options.kv.pinned),
                       dynamic_cast<CpuKvPool*>(options.kv.stored),
                       dynamic_cast<CpuKvPool*>(options.kv.hot)};
  const KvPlanLimits limits = LimitsOf(options);
  ASSIGN_OR_RETURN(std::unique_ptr<KvPool> scratch,
                   MakeCpuKvPool(ScratchLayout(options.shape), MaxScratchPages(limits)));
  std::unique_ptr<CpuKvPool> cpu_scratch(static_cast<CpuKvPool*>(scratch.release()));
  return std::unique_ptr<KvAttention>(new CpuKvAttention(
      options, limits, {pools, AttnKernelsFor(isa), std::move(cpu_scratch), pool}));
}

absl::StatusOr<int64_t> KvAttention::ScratchBytes(const ContextOptions& options, int num_threads) {
  RETURN_IF_ERROR(CheckOptions(options));
  const KvPlanLimits limits = LimitsOf(options);
  const auto threads = static_cast<size_t>(num_threads);
  const size_t state = static_cast<size_t>(kAttnMaxRows * options.shape.head_dim) * sizeof(float);
  const size_t partials = MaxSplit(num_threads) * static_cast<size_t>(MaxItemsPerRow(limits));
  const size_t bytes =
      static_cast<size_t>(MaxScratchPages(limits)) * ScratchLayout(options.shape).page_bytes +
      2 * threads * state + partials * (state + sizeof(AttnState));
  return static_cast<int64_t>(bytes);
}

std::vector<KernelChoice> KvAttention::Kernels(const ContextOptions& options, Isa isa) {
  const AttnKernels& kernels = AttnKernelsFor(isa);
  std::vector<KernelChoice> out;
  const auto add = [&](const char* segment, const KvPool* pool) {
    if (pool == nullptr) return;
    for (const KvFormat format : DistinctFormats(pool->layout())) {
      out.push_back({"attention " + std::string(segment) + " " + std::string(KvFormatName(format)),
                     KernelName(format, options.shape.head_dim, kernels)});
    }
  };
  add("pinned", options.kv.pinned);
  add("stored", options.kv.stored);
  add("own", options.kv.hot);
  out.push_back({"page quantize", "page_quantize__scalar"});
  return out;
}

}  // namespace intactkv
