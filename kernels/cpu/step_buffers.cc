#include "kernels/cpu/step_buffers.h"

#include <algorithm>
#include <cmath>

namespace intactkv {
namespace {

size_t Count(int64_t rows, int64_t cols) { return static_cast<size_t>(rows * cols); }

int64_t QueryWidth(const ModelShape& shape) { return int64_t{shape.num_q_heads} * shape.head_dim; }

int64_t KeyWidth(const ModelShape& shape) { return int64_t{shape.num_kv_heads} * shape.head_dim; }

int64_t InputWidth(const ModelShape& shape) {
  return std::max<int64_t>(shape.hidden, QueryWidth(shape));
}

}  // namespace

Int8Buffer::Int8Buffer(int max_rows, int64_t max_cols)
    : q_(Count(max_rows, max_cols)),
      scale_(Count(max_rows, max_cols / kWeightGroup)),
      scaled_sum_(scale_.size()),
      sum_(scale_.size()),
      first_sum_(scale_.size()) {}

QuantizeArgs Int8Buffer::Place(int row, int64_t width, int64_t col, int64_t cols) {
  const int64_t at = row * width + col;
  const int64_t group = at / kWeightGroup;
  return {.x = nullptr,
          .cols = cols,
          .q = q_.data() + at,
          .scale = scale_.data() + group,
          .scaled_sum = scaled_sum_.data() + group,
          .sum = sum_.data() + group,
          .first_sum = first_sum_.data() + group};
}

RopeTable::RopeTable(const std::vector<float>& inv_freq, int num_positions)
    : half_(inv_freq.size()) {
  cos_.reserve(half_ * static_cast<size_t>(num_positions));
  sin_.reserve(half_ * static_cast<size_t>(num_positions));
  for (int position = 0; position < num_positions; ++position) {
    for (const float frequency : inv_freq) {
      const double angle = static_cast<double>(position) * static_cast<double>(frequency);
      cos_.push_back(static_cast<float>(std::cos(angle)));
      sin_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

StepBuffers::StepBuffers(const ContextOptions& options, int num_workers)
    : residual(Count(options.max_rows, options.shape.hidden)),
      normed(residual.size()),
      q(Count(options.max_rows, QueryWidth(options.shape))),
      attended(q.size()),
      k(Count(options.max_rows, KeyWidth(options.shape))),
      v(k.size()),
      gated(Count(options.max_rows, options.shape.ffn)),
      logits(Count(options.max_logits_rows, options.shape.vocab)),
      int8_input(options.max_rows, InputWidth(options.shape)),
      int8_gated(options.max_rows, options.shape.ffn),
      rope(options.shape.rope_inv_freq, options.max_context) {
  const int64_t max_cols = std::max<int64_t>(options.shape.ffn, InputWidth(options.shape));
  workers.reserve(static_cast<size_t>(num_workers));
  for (int i = 0; i < num_workers; ++i) workers.emplace_back(max_cols, options.shape.vocab);
}

int64_t StepBuffers::Bytes(const ContextOptions& options, int num_workers) {
  constexpr int64_t kFloat = sizeof(float);
  const ModelShape& s = options.shape;
  const int64_t input = InputWidth(s);
  const int64_t floats_per_row =
      2 * int64_t{s.hidden} + 2 * QueryWidth(s) + 2 * KeyWidth(s) + s.ffn;
  const auto int8_per_row = [](int64_t cols) {
    return cols + cols / kWeightGroup * Int8Buffer::kGroupBytes;
  };
  const int64_t rope = 2 * static_cast<int64_t>(s.rope_inv_freq.size()) * options.max_context;
  const int64_t worker =
      (std::max<int64_t>(s.ffn, input) * kTileRows + 3 * int64_t{kRowBlock} * kChunkOutputs) *
          kFloat +
      Sampler::ScratchBytes(s.vocab);
  return options.max_rows * (floats_per_row * kFloat + int8_per_row(input) + int8_per_row(s.ffn)) +
         (int64_t{options.max_logits_rows} * s.vocab + rope) * kFloat + num_workers * worker;
}

size_t StepBuffers::bytes() const {
  size_t out = int8_input.bytes() + int8_gated.bytes() + rope.bytes();
  for (const std::vector<float>* buffer :
       {&residual, &normed, &q, &attended, &k, &v, &gated, &logits}) {
    out += buffer->size() * sizeof(float);
  }
  for (const WorkerScratch& worker : workers) out += worker.bytes();
  return out;
}

}  // namespace intactkv
