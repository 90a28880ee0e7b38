#include "tests/unit/engine/text/gguf_tokenizer.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "engine/text/utf8.h"

namespace intactkv::testing {

namespace {

enum GgufType : uint32_t { kUint32 = 4, kInt32 = 5, kBool = 7, kString = 8, kArray = 9 };

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(path, std::ios::binary) {}
  bool ok() const { return file_.good(); }

  template <typename T>
  T Read() {
    T value{};
    file_.read(reinterpret_cast<char*>(&value), sizeof(T));
    return value;
  }

  std::string ReadString() {
    const auto size = Read<uint64_t>();
    if (!ok() || size > (1u << 24)) return file_.setstate(std::ios::failbit), "";
    std::string text(size, '\0');
    file_.read(text.data(), static_cast<std::streamsize>(size));
    return text;
  }

  void Skip(uint32_t type) {
    static constexpr int kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == kString) {
      ReadString();
    } else if (type == kArray) {
      const auto element = Read<uint32_t>();
      const auto count = Read<uint64_t>();
      for (uint64_t i = 0; i < count && ok(); ++i) Skip(element);
    } else if (type <= 12) {
      file_.ignore(kSizes[type]);
    } else {
      file_.setstate(std::ios::failbit);
    }
  }

  template <typename T, typename ReadOne>
  void ReadArray(std::vector<T>& out, ReadOne read_one) {
    Read<uint32_t>();
    const auto count = Read<uint64_t>();
    for (uint64_t i = 0; i < count && ok(); ++i) out.push_back(read_one());
  }

 private:
  std::ifstream file_;
};

void ReadField(Reader& in, TokenizerData& data) {
  const std::string key = in.ReadString();
  const auto type = in.Read<uint32_t>();
  const auto text = [&] { return in.ReadString(); };
  if (key == "tokenizer.ggml.tokens") return in.ReadArray(data.tokens, text);
  if (key == "tokenizer.ggml.merges") return in.ReadArray(data.merges, text);
  if (key == "tokenizer.ggml.token_type") {
    return in.ReadArray(data.token_types, [&] { return in.Read<int32_t>(); });
  }
  if (key == "tokenizer.ggml.scores") {
    return in.ReadArray(data.scores, [&] { return in.Read<float>(); });
  }
  if (key == "tokenizer.ggml.unknown_token_id") return void(data.unk_id = in.Read<int32_t>());
  if (key == "tokenizer.ggml.pre") return void(data.pre = text());
  if (key == "tokenizer.ggml.model") return void(data.model = text());
  if (key == "tokenizer.chat_template") return void(data.chat_template = text());
  if (key == "tokenizer.ggml.bos_token_id") return void(data.bos_id = in.Read<int32_t>());
  if (key == "tokenizer.ggml.eos_token_id") return void(data.eos_id = in.Read<int32_t>());
  if (key == "tokenizer.ggml.add_bos_token") return void(data.add_bos = in.Read<uint8_t>() != 0);
  in.Skip(type);
}

}  // namespace

std::string TestModelPath() {
  if (const char* path = std::getenv("INTACTKV_TEST_MODEL")) return path;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string base = cache ? cache : std::string(home ? home : "") + "/.cache";
  return base + "/intactkv/SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::optional<TokenizerData> ReadGgufTokenizer(const std::string& path) {
  Reader in(path);
  if (in.Read<uint32_t>() != 0x46554747 || in.Read<uint32_t>() != 3) return std::nullopt;
  in.Read<uint64_t>();  // tensors
  const auto fields = in.Read<uint64_t>();
  TokenizerData data;
  for (uint64_t i = 0; i < fields && in.ok(); ++i) ReadField(in, data);
  if (!in.ok()) return std::nullopt;
  return data;
}

const TokenizerData* TestModelTokenizer() {
  static const std::optional<TokenizerData> data = ReadGgufTokenizer(TestModelPath());
  return data.has_value() ? &*data : nullptr;
}

TokenizerData TinyTokenizer(std::vector<std::string> merges) {
  TokenizerData data;
  data.pre = "smollm";
  data.model = "gpt2";
  uint32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    AppendUtf8(data.tokens.emplace_back(), printable ? b : next++);
  }
  for (const std::string& merge : merges) {
    const size_t space = merge.find(' ');
    data.tokens.push_back(merge.substr(0, space) + merge.substr(space + 1));
  }
  data.merges = std::move(merges);
  data.token_types.assign(data.tokens.size(), 1);
  for (const char* name : {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>"}) {
    data.tokens.push_back(name);
    data.token_types.push_back(3);
  }
  data.token_types.back() = 4;
  data.bos_id = static_cast<int>(data.tokens.size()) - 3;
  data.eos_id = data.bos_id + 1;
  return data;
}

}  // namespace intactkv::testing
