#include "tests/unit/engine/text/corpus.h"

#include <array>
#include <string_view>

#include "engine/base/rng.h"
#include "engine/text/bpe_tokenizer.h"
#include "engine/text/utf8.h"

namespace intactkv::testing {

namespace {

constexpr size_t kChunkBytes = 4096;

constexpr std::string_view kEnglish =
    "It was late, and the harbour had gone quiet; only the gulls argued over what the boats had "
    "left behind. \"You're early,\" she said. \"I'm not. You've been counting the tide wrong, and "
    "they'll say it's my fault - don't they always?\" He'd have answered, but the lamp's flame "
    "dipped. In 1987 the mill produced 12,450 tonnes; by 2003, just 318.5. Nobody asked why the "
    "keeper's log ended on page 77, nor who'd written 'WE'RE STILL HERE' across the last sheet. ";
constexpr std::string_view kCode =
    "template <typename T>\nclass Ring {\n public:\n  explicit Ring(size_t n) : data_(n) {}\n"
    "\tbool push(const T& v) { if (full()) return false; data_[head_++ & mask_] = v; return true; "
    "}\n};\n\ndef fib(n: int) -> int:\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, "
    "a "
    "+ b\n    return a\n\nSELECT id, COUNT(*) AS n FROM t WHERE x >= 0x1F AND y != 'it''s' GROUP "
    "BY "
    "1;\r\n{\"key\": [1, 2.5e-3, null, true], \"path\": \"C:\\\\tmp\\\\a.txt\"}\n#include <map>\n"
    "for (int i = 0; i < 100; ++i) { sum += a[i] * b[i]; } // TODO(#42): vectorise\n";
constexpr std::string_view kChinese =
    "今天的天气很好，我们沿着河边走了很久。他问：“你知道这座桥是什么时候修的吗？”我说大概是一九五八"
    "年，"
    "也可能是1962年。市场里卖的苹果每斤３元，梨子每斤４．５元。機器學習需要大量的資料與耐心。";
constexpr std::string_view kArabic =
    "كان البحر هادئًا في ذلك الصباح، ولم يكن في الميناء سوى ثلاثة قوارب. سألني الرجل: «متى تعود؟» "
    "فقلت له: بعد ١٥ يومًا، إن شاء الله. ثمن الكتاب ٢٫٥٠٠ دينار. ";
constexpr std::string_view kOther =
    "Быстрая лиса прыгает; 3 июля. Ζωή και θάλασσα. שלום עולם, מה שלומך? हिन्दी में १२३ शब्द। "
    "ภาษาไทยไม่มีช่องว่าง ๔๕๖ 日本語のテキスト、カタカナとひらがな。한국어 문장입니다. Größe, naïve, "
    "façade, Ångström, Việt Nam, Ⅷ ½ ² ₃ ㊿ ";
constexpr std::string_view kEmoji =
    "😀👍🏽👩‍👩‍👧‍👦🇫🇷🏳️‍🌈❤️‍🔥✈️☕️1️⃣#"
    "️⃣🧑🏾‍🚀🫠〰️©️™";

std::vector<std::string_view> Characters(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t pos = 0; pos < text.size();) {
    const size_t n = DecodeUtf8(text, pos).length;
    out.push_back(text.substr(pos, n));
    pos += n;
  }
  return out;
}

// A piece of `text`, a few words long, from a random place.
std::string Excerpt(std::string_view text, Rng& rng) {
  const std::vector<std::string_view> characters = Characters(text);
  const size_t begin = rng.Below(characters.size());
  const size_t n = 1 + rng.Below(60);
  std::string out;
  for (size_t i = begin; i < begin + n; ++i) out += characters[i % characters.size()];
  return out;
}

std::string Spaces(Rng& rng) {
  static constexpr std::array<std::string_view, 12> kSpaces = {
      " ",     "  ",     "\n",     "\n\n",   "\t",   "\r\n",
      "   \n", "\u00a0", "\u3000", "\u2028", "\v\f", "\u0085"};
  std::string out;
  for (size_t n = 1 + rng.Below(4); n > 0; --n) out += kSpaces[rng.Below(kSpaces.size())];
  return out;
}

std::string Controls(Rng& rng) {
  std::string out;
  for (size_t n = 1 + rng.Below(6); n > 0; --n) {
    AppendUtf8(out, static_cast<uint32_t>(rng.Below(2) ? rng.Below(0x20) : 0x7F + rng.Below(0x21)));
  }
  return out;
}

std::string RandomCodePoints(Rng& rng) {
  static constexpr std::array<uint32_t, 5> kLimits = {0x80, 0x800, 0x3000, 0x10000, 0x110000};
  std::string out;
  const uint32_t limit = kLimits[rng.Below(kLimits.size())];
  for (size_t n = 1 + rng.Below(12); n > 0; --n) {
    AppendUtf8(out, static_cast<uint32_t>(rng.Below(limit)));
  }
  return out;
}

// Tokens of the model glued without regard to words: long merges, and their near misses.
std::string GluedTokens(const BpeTokenizer& tokenizer, Rng& rng) {
  std::string out;
  for (size_t n = 1 + rng.Below(8); n > 0; --n) {
    const auto id = rng.Below(static_cast<uint64_t>(tokenizer.vocab_size()));
    const std::string_view bytes = tokenizer.TokenBytes(TokenId(static_cast<int32_t>(id)));
    if (ReplaceInvalidUtf8(bytes) == bytes) out += bytes;
  }
  return out;
}

// One character, many times.
std::string Run(Rng& rng) {
  const size_t length = 1 + rng.Below(40);  // named: the order of arguments is the compiler's
  const auto c = static_cast<char>(0x20 + rng.Below(0x5F));
  return std::string(length, c);
}

std::string Piece(const BpeTokenizer& tokenizer, Rng& rng) {
  switch (rng.Below(12)) {
    case 0:
      return Excerpt(kEnglish, rng);
    case 1:
      return Excerpt(kCode, rng);
    case 2:
      return Excerpt(kChinese, rng);
    case 3:
      return Excerpt(kArabic, rng);
    case 4:
      return Excerpt(kOther, rng);
    case 5:
      return Excerpt(kEmoji, rng);
    case 6:
      return Spaces(rng);
    case 7:
      return Controls(rng);
    case 8:
      return RandomCodePoints(rng);
    case 9:
      return std::to_string(rng() >> rng.Below(64));
    case 10:
      return Run(rng);
    default:
      return GluedTokens(tokenizer, rng);
  }
}

// Letters under marks in any order: what composition sorts and joins.
std::string CombiningMarks(Rng& rng) {
  static constexpr std::array<std::string_view, 10> kBases = {
      "a", "E", "o", "q", "\u00e2", "\u0915", "\u09c7", "\u1112", "\u1161", "\uac00"};
  static constexpr std::array<uint32_t, 6> kBlocks = {0x300, 0x320, 0x591, 0x64B, 0x1161, 0x11A8};
  std::string out;
  for (size_t n = 1 + rng.Below(8); n > 0; --n) {
    out += kBases[rng.Below(kBases.size())];
    for (size_t marks = rng.Below(5); marks > 0; --marks) {
      const uint32_t block = kBlocks[rng.Below(kBlocks.size())];
      AppendUtf8(out, block + static_cast<uint32_t>(rng.Below(0x18)));
    }
  }
  return out;
}

std::string AddedName(const TokenizerData& data, Rng& rng) {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < data.tokens.size() && names.size() < 64; ++i) {
    if (data.token_types[i] == 3 || data.token_types[i] == 4) names.push_back(data.tokens[i]);
  }
  if (names.empty()) return "<none>";
  const size_t before = rng.Below(3), name = rng.Below(names.size()), after = rng.Below(3);
  return std::string(before, ' ') + std::string(names[name]) + std::string(after, ' ');
}

// Each code point of the planes 0 and 1 between two letters and behind a space.
void AppendEveryCodePoint(std::vector<std::string>& chunks) {
  for (uint32_t c = 0; c < 0x20000; ++c) {
    if (c % 1024 == 0) chunks.emplace_back();
    if (c >= 0xD800 && c < 0xE000) continue;
    chunks.back() += "x";
    AppendUtf8(chunks.back(), c);
    chunks.back() += "y ";
    AppendUtf8(chunks.back(), c);
  }
}

}  // namespace

std::vector<std::string> MakeCorpus(const TokenizerData& data) {
  const auto tokenizer = BpeTokenizer::Make(data);
  if (!tokenizer.ok()) return {};
  std::vector<std::string> chunks;
  for (uint64_t seed = 0; seed < 256; ++seed) {
    Rng rng(seed);
    std::string& chunk = chunks.emplace_back();
    while (chunk.size() < kChunkBytes) chunk += Piece(*tokenizer, rng);
  }
  AppendEveryCodePoint(chunks);
  return chunks;
}

std::vector<std::string> MakeFamilyCorpus(const TokenizerData& data) {
  const auto tokenizer = BpeTokenizer::Make(data);
  if (!tokenizer.ok()) return {};
  std::vector<std::string> chunks;
  for (uint64_t seed = 1000; seed < 1032; ++seed) {
    Rng rng(seed);
    std::string& chunk = chunks.emplace_back();
    while (chunk.size() < kChunkBytes) {
      switch (rng.Below(8)) {
        case 0:
          chunk += CombiningMarks(rng);
          break;
        case 1:
          chunk += AddedName(data, rng);
          break;
        default:
          chunk += Piece(*tokenizer, rng);
      }
    }
  }
  AppendEveryCodePoint(chunks);
  return chunks;
}

}  // namespace intactkv::testing
