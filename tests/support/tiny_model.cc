#include "tests/support/tiny_model.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace intactkv::test {
namespace {

// SmolLM2's own template; the tiny model's default system prompt names nobody.
constexpr char kChatTemplate[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a tiny assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// In rank order; '_' stands for GPT-2's letter for a space. Each side is a byte's letter or the
// result of an earlier merge.
constexpr const char* kMerges[] = {
    "_ t", "_ a",  "h e",  "i n",  "r e",  "o n", "_t he", "e r",  "_ s", "a t", "_ w",   "_ o",
    "e n", "_ c",  "i t",  "i s",  "a n",  "o r", "e s",   "_ b",  "e d", "_ f", "in g",  "_ p",
    "o u", "_a n", "a l",  "a r",  "_t o", "_ m", "_o f",  "_ in", "_ d", "_ h", "_an d", "i c",
    "a s", "l e",  "_t h", "i on", "o m",  "l l", "en t",  "_ n",  "_ l", "s t", "_ re",  "v e"};

constexpr unsigned kSpaceLetter = 0x120;

// One code point below 0x800 as UTF-8.
std::string Utf8(unsigned code) {
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0u | code >> 6), static_cast<char>(0x80u | (code & 0x3fu))};
}

// GPT-2's byte alphabet in its own order: printable bytes stand for themselves, the others for
// letters from U+0100 on. Source: openai/gpt-2 src/encoder.py, bytes_to_unicode.
std::vector<std::string> ByteAlphabet() {
  const auto printable = [](unsigned b) {
    return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
  };
  std::vector<std::string> out;
  for (unsigned b = 0; b < 256; ++b) {
    if (printable(b)) out.push_back(Utf8(b));
  }
  for (unsigned b = 0, next = 256; b < 256; ++b) {
    if (!printable(b)) out.push_back(Utf8(next++));
  }
  return out;
}

void AddTokenizer(const TinyModelOptions& options, GgufWriter* writer) {
  std::vector<std::string> tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (std::string& letter : ByteAlphabet()) tokens.push_back(std::move(letter));
  const size_t vocab = static_cast<size_t>(options.vocab);
  CHECK_GE(vocab, tokens.size());
  std::vector<std::string> merges;
  for (const std::string_view merge : kMerges) {
    if (tokens.size() == vocab) break;
    std::string text;
    for (const char c : merge) text += c == '_' ? Utf8(kSpaceLetter) : std::string(1, c);
    merges.push_back(text);
    std::erase(text, ' ');
    tokens.push_back(text);
  }
  const size_t first_unused = tokens.size();
  while (tokens.size() < vocab) tokens.push_back("<|pad_" + std::to_string(tokens.size()) + "|>");
  std::vector<int32_t> types(vocab, 1);  // 1 normal, 3 control
  std::fill(types.begin(), types.begin() + kTinyFirstByte, 3);
  std::fill(types.begin() + static_cast<std::ptrdiff_t>(first_unused), types.end(), 3);

  writer->AddString("tokenizer.ggml.model", "gpt2");
  writer->AddString("tokenizer.ggml.pre", "smollm");
  writer->AddStringArray("tokenizer.ggml.tokens", tokens);
  writer->AddInt32Array("tokenizer.ggml.token_type", types);
  writer->AddStringArray("tokenizer.ggml.merges", merges);
  writer->AddUint32("tokenizer.ggml.bos_token_id", kTinyImStart);
  writer->AddUint32("tokenizer.ggml.eos_token_id", kTinyImEnd);
  writer->AddUint32("tokenizer.ggml.unknown_token_id", kTinyEndOfText);
  writer->AddUint32("tokenizer.ggml.padding_token_id", kTinyImEnd);
  writer->AddBool("tokenizer.ggml.add_bos_token", false);
  writer->AddBool("tokenizer.ggml.add_space_prefix", false);
  writer->AddString("tokenizer.chat_template", kChatTemplate);
}

void AddShape(const TinyModelOptions& options, GgufWriter* writer) {
  const std::string& a = options.architecture;
  const auto add = [&](const char* key, int value) {
    writer->AddUint32(a + "." + key, static_cast<uint32_t>(value));
  };
  writer->AddString("general.architecture", a);
  writer->AddString("general.name", "tiny random model");
  add("block_count", options.num_layers);
  add("context_length", options.context_length);
  add("embedding_length", options.hidden);
  add("feed_forward_length", options.ffn);
  add("attention.head_count", options.num_q_heads);
  add("attention.head_count_kv", options.num_kv_heads);
  add("attention.key_length", options.head_dim);
  add("attention.value_length", options.head_dim);
  add("rope.dimension_count", options.head_dim);
  add("vocab_size", options.vocab);
  writer->AddFloat32(a + ".rope.freq_base", 10'000.0f);
  writer->AddFloat32(a + ".attention.layer_norm_rms_epsilon", 1e-5f);
}

// Adds tensors of random values, one stream of random numbers per tensor.
class TensorMaker {
 public:
  TensorMaker(const TinyModelOptions& options, GgufWriter* writer)
      : options_(options), writer_(writer) {}

  // Elements of mean 0 and standard deviation gain / sqrt(cols): a unit-RMS input gives outputs of
  // standard deviation `gain`.
  void Matrix(const std::string& name, int cols, int rows, double gain) {
    const double scale = gain / std::sqrt(static_cast<double>(cols));
    std::vector<float> values(static_cast<size_t>(cols) * static_cast<size_t>(rows));
    Rng rng = NextStream();
    for (float& v : values) v = static_cast<float>(scale * Normal(&rng));
    const size_t turn = num_matrices_++;
    const TensorType type =
        options_.mix.empty() ? options_.type : options_.mix[turn % options_.mix.size()];
    writer_->AddTensor(name, type, {static_cast<uint64_t>(cols), static_cast<uint64_t>(rows)},
                       values);
  }

  // Magnitudes in [0.5, 1.5) * gain, either sign: with a tied head, a norm of one sign would make
  // every model repeat its last token.
  void Norm(const std::string& name, int size, double gain) {
    std::vector<float> values(static_cast<size_t>(size));
    Rng rng = NextStream();
    for (float& v : values) {
      const double sign = rng.Unit() < 0.5 ? -1 : 1;
      v = static_cast<float>(sign * gain * (0.5 + rng.Unit()));
    }
    writer_->AddTensor(name, TensorType::kF32, {values.size()}, values);
  }

  void Bias(const std::string& name, int size) {
    std::vector<float> values(static_cast<size_t>(size));
    Rng rng = NextStream();
    for (float& v : values) v = static_cast<float>(0.5 * Normal(&rng));
    writer_->AddTensor(name, TensorType::kF32, {values.size()}, values);
  }

 private:
  Rng NextStream() { return Rng(Mix64(options_.seed) + ++num_streams_); }
  // The sum of 12 uniform numbers, less 6: no libm function, so the same bits everywhere.
  static double Normal(Rng* rng) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += rng->Unit();
    return sum;
  }

  const TinyModelOptions& options_;
  GgufWriter* writer_;
  uint64_t num_streams_ = 0;
  size_t num_matrices_ = 0;
};

void AddLayer(const TinyModelOptions& options, int layer, TensorMaker* maker) {
  const auto name = [layer](const char* suffix) {
    return "blk." + std::to_string(layer) + "." + suffix;
  };
  const int q_width = options.num_q_heads * options.head_dim;
  const int kv_width = options.num_kv_heads * options.head_dim;
  maker->Norm(name("attn_norm.weight"), options.hidden, 1.0);
  // q and k of standard deviation 1.25 give scores of about 1.5: attention that chooses.
  maker->Matrix(name("attn_q.weight"), options.hidden, q_width, 1.25);
  maker->Matrix(name("attn_k.weight"), options.hidden, kv_width, 1.25);
  maker->Matrix(name("attn_v.weight"), options.hidden, kv_width, 1.5);
  if (options.attention_bias || options.architecture == "qwen2") {
    maker->Bias(name("attn_q.bias"), q_width);
    maker->Bias(name("attn_k.bias"), kv_width);
    maker->Bias(name("attn_v.bias"), kv_width);
  }
  if (options.architecture == "qwen3") {
    maker->Norm(name("attn_q_norm.weight"), options.head_dim, 1.0);
    maker->Norm(name("attn_k_norm.weight"), options.head_dim, 1.0);
  }
  maker->Matrix(name("attn_output.weight"), q_width, options.hidden, 1.5);
  maker->Norm(name("ffn_norm.weight"), options.hidden, 1.0);
  maker->Matrix(name("ffn_gate.weight"), options.hidden, options.ffn, 1.0);
  maker->Matrix(name("ffn_up.weight"), options.hidden, options.ffn, 1.0);
  maker->Matrix(name("ffn_down.weight"), options.ffn, options.hidden, 1.5);
}

}  // namespace

GgufWriter TinyModelWriter(const TinyModelOptions& options) {
  GgufWriter writer;
  AddShape(options, &writer);
  AddTokenizer(options, &writer);
  TensorMaker maker(options, &writer);
  // Rows of unit RMS; the output norm then brings logits to a standard deviation of about 2.5.
  const double width = std::sqrt(static_cast<double>(options.hidden));
  maker.Matrix("token_embd.weight", options.hidden, options.vocab, width);
  for (int layer = 0; layer < options.num_layers; ++layer) AddLayer(options, layer, &maker);
  maker.Norm("output_norm.weight", options.hidden, 2.5 / width);
  if (!options.tied_embeddings) {
    maker.Matrix("output.weight", options.hidden, options.vocab, width);
  }
  return writer;
}

std::vector<std::byte> TinyModelBytes(const TinyModelOptions& options) {
  return TinyModelWriter(options).Build().bytes;
}

void WriteTinyModel(const std::string& path, const TinyModelOptions& options) {
  WriteBytes(path, TinyModelBytes(options));
}

}  // namespace intactkv::test
