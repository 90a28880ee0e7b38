#include "kernels/cpu/cpu_linear.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

static_assert(static_cast<int>(BlockType::kF32) == static_cast<int>(TensorType::kF32));
static_assert(static_cast<int>(BlockType::kF16) == static_cast<int>(TensorType::kF16));
static_assert(static_cast<int>(BlockType::kBF16) == static_cast<int>(TensorType::kBF16));
static_assert(static_cast<int>(BlockType::kQ8_0) == static_cast<int>(TensorType::kQ8_0));
static_assert(static_cast<int>(BlockType::kQ4_0) == static_cast<int>(TensorType::kQ4_0));
static_assert(static_cast<int>(BlockType::kQ4_1) == static_cast<int>(TensorType::kQ4_1));
static_assert(static_cast<int>(BlockType::kQ5_0) == static_cast<int>(TensorType::kQ5_0));
static_assert(static_cast<int>(BlockType::kQ5_1) == static_cast<int>(TensorType::kQ5_1));
static_assert(static_cast<int>(BlockType::kQ2_K) == static_cast<int>(TensorType::kQ2_K));
static_assert(static_cast<int>(BlockType::kQ3_K) == static_cast<int>(TensorType::kQ3_K));
static_assert(static_cast<int>(BlockType::kQ4_K) == static_cast<int>(TensorType::kQ4_K));
static_assert(static_cast<int>(BlockType::kQ5_K) == static_cast<int>(TensorType::kQ5_K));
static_assert(static_cast<int>(BlockType::kQ6_K) == static_cast<int>(TensorType::kQ6_K));

absl::Status CheckRange(const std::string& name, std::string_view what, const IndexRange& range,
                        int64_t size) {
  const int64_t end = range.end < 0 ? size : range.end;
  if (range.begin >= 0 && range.begin < end && end <= size) return absl::OkStatus();
  return InvalidArgument("tensor " + name + ": " + std::string(what) + " [" +
                         std::to_string(range.begin) + ", " + std::to_string(end) + ") of " +
                         std::to_string(size));
}

}  // namespace

// One Load: decides the format, allocates, fills tile by tile.
class LinearLoader {
 public:
  LinearLoader(const LinearSpec& spec, ThreadPool* pool)
      : tensor_(spec.tensor),
        type_(static_cast<BlockType>(spec.tensor.type)),
        row_begin_(spec.rows.begin),
        col_begin_(spec.cols.begin),
        pool_(pool) {
    linear_->rows_ = (spec.rows.end < 0 ? tensor_.rows : spec.rows.end) - row_begin_;
    linear_->cols_ = (spec.cols.end < 0 ? tensor_.cols : spec.cols.end) - col_begin_;
    source_row_bytes_ = RowBytes(type_, tensor_.cols);
    source_col_bytes_ = RowBytes(type_, col_begin_);
  }

  absl::StatusOr<std::unique_ptr<CpuLinear>> Fill(WeightFormat format) {
    if (format == WeightFormat::kF32) return FillPanels();
    const bool stored = KeepsCodes(format);
    if (stored) {
      code_format_ = StoredCodeFormat(type_);
      linear_->format_name_ = StoredName(type_);
    } else {
      code_format_ = {.bits = format == WeightFormat::kInt8 ? 8 : 4, .has_minimum = true};
      linear_->format_name_ = code_format_.bits == 8 ? "int8" : "int4";
    }
    return FillTiles(stored);
  }

 private:
  bool KeepsCodes(WeightFormat format) const {
    if (!IsQuantized(type_)) return false;
    const int bits = StoredCodeFormat(type_).bits;
    return format == WeightFormat::kStored || (format == WeightFormat::kInt8 && bits == 8) ||
           (format == WeightFormat::kInt4 && bits == 4);
  }

  const std::byte* SourceRow(int64_t row) const {
    return tensor_.data + static_cast<size_t>(row_begin_ + row) * source_row_bytes_ +
           source_col_bytes_;
  }

  absl::StatusOr<std::unique_ptr<CpuLinear>> FillPanels() {
    linear_->format_name_ = "f32";
    const size_t count =
        static_cast<size_t>(linear_->num_tiles() * linear_->cols_) * size_t{kTileRows};
    ASSIGN_OR_RETURN(linear_->memory_, WeightMemory::Allocate(count * sizeof(float)));
    linear_->panels_ = reinterpret_cast<float*>(linear_->memory_.data());
    pool_->Run(static_cast<int>(linear_->num_tiles()), [this](int tile, int) { FillPanel(tile); });
    return std::move(linear_);
  }

  void FillPanel(int64_t tile) const {
    const int64_t cols = linear_->cols_;
    std::vector<float> values(static_cast<size_t>(cols));
    ForEachRow(tile, [&](int64_t row, const std::byte* source) {
      DequantizeBlocks(type_, source, cols, values.data());
      float* out = linear_->panels_ + tile * cols * kTileRows + row % kTileRows;
      for (int64_t k = 0; k < cols; ++k) out[k * kTileRows] = values[static_cast<size_t>(k)];
    });
  }

  absl::StatusOr<std::unique_ptr<CpuLinear>> FillTiles(bool stored) {
    const TileLayout layout = {
        .format = code_format_, .rows = linear_->rows_, .cols = linear_->cols_};
    ASSIGN_OR_RETURN(linear_->memory_, WeightMemory::Allocate(layout.bytes()));
    linear_->tiles_ = PlaceTiles(layout, linear_->memory_.data());
    linear_->format_index_ = CodeFormatIndex(code_format_);
    std::atomic<bool> ok{true};
    pool_->Run(static_cast<int>(linear_->num_tiles()), [&](int tile, int) {
      if (stored) {
        FillStoredTile(tile);
      } else if (!FillRoundedTile(tile)) {
        ok.store(false);
      }
    });
    if (!ok.load()) {
      return InvalidArgument("tensor " + tensor_.name +
                             ": a value is not finite or too large for fp16 scales");
    }
    return std::move(linear_);
  }

  void FillStoredTile(int64_t tile) const {
    const int columns = BlockColumns(type_);
    const int block_groups = columns / code_format_.group;
    CodeGroup groups[kMaxBlockGroups];
    ForEachRow(tile, [&](int64_t row, const std::byte* source) {
      int64_t group = 0;
      for (int64_t k = 0; k < linear_->cols_; k += columns, source += BlockBytes(type_)) {
        ReadBlock(type_, source, groups);
        for (int g = 0; g < block_groups; ++g) {
          StoreGroup(linear_->tiles_, row, group++, groups[g]);
        }
      }
    });
  }

  bool FillRoundedTile(int64_t tile) const {
    // At least one group, and whole blocks.
    const int columns = std::max(kWeightGroup, BlockColumns(type_));
    float values[kSuperBlock];
    bool ok = true;
    ForEachRow(tile, [&](int64_t row, const std::byte* source) {
      for (int64_t k = 0; ok && k < linear_->cols_; k += columns) {
        DequantizeBlocks(type_, source, columns, values);
        source += RowBytes(type_, columns);
        for (int i = 0; ok && i < columns; i += kWeightGroup) {
          CodeGroup group;
          ok = QuantizeGroup(values + i, code_format_.bits, &group);
          if (ok) StoreGroup(linear_->tiles_, row, (k + i) / kWeightGroup, group);
        }
      }
    });
    return ok;
  }

  template <typename Use>
  void ForEachRow(int64_t tile, const Use& use) const {
    const int64_t end = std::min<int64_t>((tile + 1) * kTileRows, linear_->rows_);
    for (int64_t row = tile * kTileRows; row < end; ++row) use(row, SourceRow(row));
  }

  const HostTensor& tensor_;
  const BlockType type_;
  const int64_t row_begin_;
  const int64_t col_begin_;
  ThreadPool* const pool_;
  size_t source_row_bytes_ = 0;
  size_t source_col_bytes_ = 0;
  CodeFormat code_format_;
  std::unique_ptr<CpuLinear> linear_{new CpuLinear};
};

absl::StatusOr<std::unique_ptr<CpuLinear>> CpuLinear::Load(const LinearSpec& spec,
                                                           ThreadPool* pool) {
  const HostTensor& tensor = spec.tensor;
  if (spec.format == WeightFormat::kBF16) {
    return Unimplemented("tensor " + tensor.name + ": bf16 weights are not built on the CPU yet");
  }
  if (tensor.data == nullptr || tensor.rows <= 0 || tensor.cols <= 0) {
    return InvalidArgument("tensor " + tensor.name + ": empty");
  }
  RETURN_IF_ERROR(CheckRange(tensor.name, "rows", spec.rows, tensor.rows));
  RETURN_IF_ERROR(CheckRange(tensor.name, "columns", spec.cols, tensor.cols));
  const int64_t end = spec.cols.end < 0 ? tensor.cols : spec.cols.end;
  const int unit = std::max(kWeightGroup, BlockColumns(static_cast<BlockType>(tensor.type)));
  if (tensor.cols % unit != 0 || spec.cols.begin % unit != 0 || end % unit != 0) {
    return InvalidArgument("tensor " + tensor.name + ": columns are not multiples of " +
                           std::to_string(unit));
  }
  return LinearLoader(spec, pool).Fill(spec.format);
}

void CpuLinear::DequantizeRow(int64_t row, float* out) const {
  DCHECK(row >= 0 && row < rows_);
  if (!quantized()) {
    const float* panel = panels_ + row / kTileRows * cols_ * kTileRows + row % kTileRows;
    for (int64_t k = 0; k < cols_; ++k) out[k] = panel[k * kTileRows];
    return;
  }
  const CodeFormat format = tiles_.layout.format;
  for (int64_t g = 0; g < tiles_.layout.num_groups(); ++g) {
    DequantizeGroup(format, LoadGroup(tiles_, row, g), out + g * format.group);
  }
}

LinearRunner::LinearRunner(Isa isa, ActivationFormat activations)
    : kernels_(GetLinearKernels(isa)), ops_(GetOpsKernels(isa)), activations_(activations) {}

int LinearRunner::NumOutputs(const CpuLinear& w, const LinearPart& part) {
  return static_cast<int>(
      std::min<int64_t>(w.rows() - part.tile * kTileRows, int64_t{part.num_tiles} * kTileRows));
}

void LinearRunner::Run(const CpuLinear& w, const ActivationRows& x, const LinearPart& part,
                       float* scratch) const {
  if (UsesInt8(w)) {
    RunInt8(w, x.int8, part);
  } else if (w.quantized()) {
    RunDequantized(w, x.f32 + part.row * w.cols(), part, scratch);
  } else {
    kernels_.linear_f32({.weights = w.panels() + part.tile * w.cols() * kTileRows,
                         .cols = w.cols(),
                         .x = x.f32 + part.row * w.cols(),
                         .x_stride = w.cols(),
                         .y = {.num_rows = part.num_rows,
                               .num_tiles = part.num_tiles,
                               .num_outputs = NumOutputs(w, part),
                               .out = part.out,
                               .stride = part.stride}});
  }
}

void LinearRunner::RunInt8(const CpuLinear& w, const Int8Rows& x, const LinearPart& part) const {
  const int64_t group = part.row * (w.cols() / kWeightGroup);
  kernels_.linear_int[w.format_index()]({.weights = ViewTiles(w.tiles(), part.tile),
                                         .cols = w.cols(),
                                         .x = {.q = x.q + group * kWeightGroup,
                                               .scale = x.scale + group,
                                               .scaled_sum = x.scaled_sum + group,
                                               .sum = x.sum + group,
                                               .first_sum = x.first_sum + group},
                                         .y = {.num_rows = part.num_rows,
                                               .num_tiles = part.num_tiles,
                                               .num_outputs = NumOutputs(w, part),
                                               .out = part.out,
                                               .stride = part.stride}});
}

void LinearRunner::RunDequantized(const CpuLinear& w, const float* x, const LinearPart& part,
                                  float* scratch) const {
  const TileWeights& tiles = w.tiles();
  for (int t = 0; t < part.num_tiles; ++t) {
    ops_.dequantize_tile({.weights = ViewTiles(tiles, part.tile + t),
                          .format = tiles.layout.format,
                          .cols = w.cols(),
                          .out = scratch});
    const LinearPart one = {.tile = part.tile + t, .num_tiles = 1};
    kernels_.linear_f32({.weights = scratch,
                         .cols = w.cols(),
                         .x = x,
                         .x_stride = w.cols(),
                         .y = {.num_rows = part.num_rows,
                               .num_tiles = 1,
                               .num_outputs = NumOutputs(w, one),
                               .out = part.out + t * kTileRows,
                               .stride = part.stride}});
  }
}

}  // namespace intactkv
