#include "tests/support/reference_llama.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "tests/support/gguf_writer.h"

namespace intactkv::test {
namespace {

using Matrix = std::vector<std::vector<double>>;  // rows of equal size

std::vector<double> Values(const GgufFile& file, const std::string& name) {
  const GgufTensor* tensor = file.FindTensor(name);
  CHECK(tensor != nullptr) << name;
  const std::vector<float> values = DecodeTensor(tensor->type, tensor->data);
  return {values.begin(), values.end()};
}

// y = W x + b for each row x; W is [outputs, inputs].
Matrix Linear(const Matrix& x, const std::vector<double>& weight,
              const std::vector<double>& bias = {}) {
  const size_t inputs = x[0].size();
  const size_t outputs = weight.size() / inputs;
  Matrix y(x.size(), std::vector<double>(outputs));
  for (size_t t = 0; t < x.size(); ++t) {
    for (size_t o = 0; o < outputs; ++o) {
      double sum = bias.empty() ? 0 : bias[o];
      for (size_t i = 0; i < inputs; ++i) sum += weight[o * inputs + i] * x[t][i];
      y[t][o] = sum;
    }
  }
  return y;
}

Matrix RmsNorm(const Matrix& x, const std::vector<double>& weight, double eps) {
  Matrix y = x;
  for (std::vector<double>& row : y) {
    double squares = 0;
    for (const double v : row) squares += v * v;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(row.size()) + eps);
    for (size_t i = 0; i < row.size(); ++i) row[i] *= scale * weight[i];
  }
  return y;
}

// Frequency of pair `pair`. A scaling per frequency is the configuration's own.
double Frequency(const ModelConfig& config, size_t pair) {
  if (config.rope_has_factors) return static_cast<double>(config.rope_inv_freq[pair]);
  return std::pow(static_cast<double>(config.rope_freq_base),
                  -2.0 * static_cast<double>(pair) / static_cast<double>(config.head_dim)) /
         static_cast<double>(config.rope_linear_factor);
}

// Turns each pair of each head, neighbours or halves, by position * frequency.
void Rope(const ModelConfig& config, Matrix* x) {
  const size_t head_dim = static_cast<size_t>(config.head_dim), half = head_dim / 2;
  const bool neighbours = config.rope_style == RopeStyle::kInterleaved;
  for (size_t t = 0; t < x->size(); ++t) {
    std::vector<double>& row = (*x)[t];
    for (size_t i = 0; i < row.size() / 2; ++i) {
      const size_t pair = i % half, head = i / half * head_dim;
      const double angle = static_cast<double>(t) * Frequency(config, pair);
      double& first = row[head + (neighbours ? 2 * pair : pair)];
      double& second = row[head + (neighbours ? 2 * pair + 1 : pair + half)];
      const double a = first, b = second;
      first = a * std::cos(angle) - b * std::sin(angle);
      second = a * std::sin(angle) + b * std::cos(angle);
    }
  }
}

// RMSNorm of each head of each row.
void NormHeads(const std::vector<double>& weight, double eps, Matrix* x) {
  for (std::vector<double>& row : *x) {
    for (size_t head = 0; head < row.size(); head += weight.size()) {
      const auto begin = row.begin() + static_cast<std::ptrdiff_t>(head);
      const Matrix normed =
          RmsNorm({{begin, begin + static_cast<std::ptrdiff_t>(weight.size())}}, weight, eps);
      std::copy(normed[0].begin(), normed[0].end(), begin);
    }
  }
}

// One query head at one position over positions 0..t of its KV head.
void AttendRow(const ModelConfig& config, const Matrix& k, const Matrix& v,
               std::pair<size_t, size_t> row_and_head, const std::vector<double>& q,
               std::vector<double>* out) {
  const auto [t, head] = row_and_head;
  const size_t dim = static_cast<size_t>(config.head_dim);
  const size_t group = static_cast<size_t>(config.num_q_heads / config.num_kv_heads);
  const size_t kv = head / group * dim;
  std::vector<double> p(t + 1);
  for (size_t s = 0; s <= t; ++s) {
    for (size_t d = 0; d < dim; ++d) p[s] += q[head * dim + d] * k[s][kv + d];
    p[s] /= std::sqrt(static_cast<double>(dim));
  }
  const double largest = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& value : p) sum += value = std::exp(value - largest);
  for (size_t s = 0; s <= t; ++s) {
    for (size_t d = 0; d < dim; ++d) (*out)[head * dim + d] += p[s] / sum * v[s][kv + d];
  }
}

void AddTo(Matrix* x, const Matrix& y) {
  for (size_t t = 0; t < x->size(); ++t) {
    for (size_t i = 0; i < y[t].size(); ++i) (*x)[t][i] += y[t][i];
  }
}

std::vector<double> Flat(const Matrix& x) {
  std::vector<double> out;
  for (const std::vector<double>& row : x) out.insert(out.end(), row.begin(), row.end());
  return out;
}

// Adds one layer's attention and MLP to x; notes its queries, keys and values.
void RunLayer(const GgufFile& file, const ModelConfig& config, int layer, Matrix* x,
              ReferenceRun* run) {
  const auto weight = [&](const char* name) { return Values(file, LayerTensorName(layer, name)); };
  const auto bias = [&](const char* name) {
    return config.attention_bias ? weight(name) : std::vector<double>{};
  };
  const double eps = static_cast<double>(config.rms_eps);
  const Matrix h = RmsNorm(*x, weight("attn_norm.weight"), eps);
  Matrix q = Linear(h, weight("attn_q.weight"), bias("attn_q.bias"));
  Matrix k = Linear(h, weight("attn_k.weight"), bias("attn_k.bias"));
  const Matrix v = Linear(h, weight("attn_v.weight"), bias("attn_v.bias"));
  if (config.qk_norm) {
    NormHeads(weight("attn_q_norm.weight"), eps, &q);
    NormHeads(weight("attn_k_norm.weight"), eps, &k);
  }
  Rope(config, &q);
  Rope(config, &k);
  run->queries.push_back(Flat(q));
  run->keys.push_back(Flat(k));
  run->values.push_back(Flat(v));
  Matrix attended(x->size(), std::vector<double>(q[0].size()));
  for (size_t t = 0; t < x->size(); ++t) {
    for (size_t head = 0; head < static_cast<size_t>(config.num_q_heads); ++head) {
      AttendRow(config, k, v, {t, head}, q[t], &attended[t]);
    }
  }
  AddTo(x, Linear(attended, weight("attn_output.weight")));
  const Matrix m = RmsNorm(*x, weight("ffn_norm.weight"), eps);
  Matrix gate = Linear(m, weight("ffn_gate.weight"));
  const Matrix up = Linear(m, weight("ffn_up.weight"));
  for (size_t t = 0; t < gate.size(); ++t) {
    for (size_t i = 0; i < gate[t].size(); ++i) {
      gate[t][i] = gate[t][i] / (1 + std::exp(-gate[t][i])) * up[t][i];
    }
  }
  AddTo(x, Linear(gate, weight("ffn_down.weight")));
}

}  // namespace

ReferenceRun RunReference(const GgufFile& file, const ModelConfig& config,
                          std::span<const int32_t> tokens) {
  CHECK(!tokens.empty());
  const std::vector<double> table = Values(file, "token_embd.weight");
  const size_t hidden = static_cast<size_t>(config.hidden);
  Matrix x;
  for (const int32_t token : tokens) {
    const auto row = table.begin() + static_cast<std::ptrdiff_t>(token) * config.hidden;
    x.emplace_back(row, row + static_cast<std::ptrdiff_t>(hidden));
  }
  ReferenceRun run;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    RunLayer(file, config, layer, &x, &run);
  }
  const Matrix normed =
      RmsNorm(x, Values(file, "output_norm.weight"), static_cast<double>(config.rms_eps));
  run.logits = Flat(Linear(normed, config.tied_embeddings ? table : Values(file, "output.weight")));
  return run;
}

std::vector<double> ReferenceLogits(const GgufFile& file, const ModelConfig& config,
                                    std::span<const int32_t> tokens) {
  return RunReference(file, config, tokens).logits;
}

}  // namespace intactkv::test
