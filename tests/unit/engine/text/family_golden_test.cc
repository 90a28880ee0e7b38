#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/rng.h"
#include "engine/text/nfc.h"
#include "engine/text/text_codec.h"
#include "engine/text/utf8.h"
#include "tests/unit/engine/text/corpus.h"
#include "tests/unit/engine/text/family_vocabulary.h"
#include "tests/unit/engine/text/golden_ids.h"

namespace intactkv {
namespace {

using ::testing::ElementsAreArray;

struct Sample {
  std::string text;
  std::vector<int32_t> ids;
};

struct Family {
  const char* name;  // of the golden file
  const char* file;  // vocabulary: in families/, or fetched if it is a GGUF file
  bool fallback;     // by characters, not byte level
  bool nfc;
  std::vector<Sample> samples;
};

// GoogleTest would print the bytes of the struct.
void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

std::vector<int32_t> Ids(const TextCodec& codec, std::string_view text) {
  const absl::StatusOr<std::vector<TokenId>> tokens = codec.Encode(text);
  std::vector<int32_t> ids;
  for (const TokenId id : *tokens) ids.push_back(id.value);
  return ids;
}

class FamilyTest : public ::testing::TestWithParam<Family> {
 protected:
  static std::string Folder() { return INTACTKV_SOURCE_DIR "/tests/unit/engine/text/families/"; }

  void SetUp() override {
    const std::string file = GetParam().file;
    const bool fetched = !file.ends_with(".json");
    const std::string path = fetched ? testing::FetchedVocabularyPath(file) : Folder() + file;
    absl::StatusOr<TokenizerData> data = testing::ReadVocabulary(path);
    if (fetched && !data.ok()) GTEST_SKIP() << data.status() << ": scripts/fetch-vocabularies.sh";
    ASSERT_TRUE(data.ok()) << data.status();
    data_ = *data;
    absl::StatusOr<std::unique_ptr<TextCodec>> codec = MakeTextCodec(*std::move(data));
    ASSERT_TRUE(codec.ok()) << codec.status();
    codec_ = *std::move(codec);
  }

  TokenizerData data_;
  std::unique_ptr<TextCodec> codec_;
};

TEST_P(FamilyTest, EqualsTheTokenizersPackageOnTheCorpus) {
  testing::ExpectGoldenIds(Folder() + GetParam().name + ".golden", 16,
                           testing::MakeFamilyCorpus(data_),
                           [&](std::string_view text) { return Ids(*codec_, text); });
}

class FetchedFamilyTest : public FamilyTest {};

TEST_P(FetchedFamilyTest, SamplesSpelledOut) {
  EXPECT_EQ(GetParam().samples.size(), 7u);
  for (const Sample& sample : GetParam().samples) {
    EXPECT_THAT(Ids(*codec_, sample.text), ElementsAreArray(sample.ids)) << sample.text;
  }
}

// All vocabularies hold every byte. Metaspace puts no space in front of a space and the decoder
// takes it away: the family itself loses one there.
TEST_P(FamilyTest, ArbitraryBytesComeBack) {
  Rng rng(21);
  int changed = 0;
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (size_t n = rng.Below(300); n > 0; --n) {
      const auto b = static_cast<char>(rng.Below(256));
      bytes.push_back(rng.Below(3) ? b
                                   : "ab  \xCC\x81\xC3\xA9"
                                     "e\n"[rng.Below(10)]);
    }
    std::string want = GetParam().nfc ? ToNfc(bytes) : bytes;
    if (data_.space.has_value() && data_.space->metaspace && want.starts_with(' '))
      want.erase(0, 1);
    changed += GetParam().nfc && want != bytes;
    ASSERT_EQ(codec_->Decode(codec_->Encode(bytes).value(), false).value(), want)
        << "round " << round;
  }
  EXPECT_EQ(changed > 0, GetParam().nfc);
}

// The stream is a continuation of what stands in front: it keeps the space that a whole text drops.
TEST_P(FamilyTest, StreamEqualsWholeDecode) {
  Rng rng(23);
  int dropped = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<TokenId> tokens;
    for (size_t n = rng.Below(40); n > 0; --n) {
      const uint64_t limit = rng.Below(2) ? 300 : static_cast<uint64_t>(codec_->vocab_size());
      tokens.push_back(TokenId(static_cast<int32_t>(rng.Below(limit))));
    }
    const auto decoder = codec_->NewStreamDecoder();
    std::string streamed;
    for (const TokenId token : tokens) streamed += decoder->Feed(token);
    streamed += decoder->Flush();
    const std::string whole = ReplaceInvalidUtf8(codec_->Decode(tokens, false).value());
    const bool drops = GetParam().fallback && streamed.starts_with(' ');
    dropped += drops;
    ASSERT_EQ(drops ? streamed.substr(1) : streamed, whole) << "round " << round;
  }
  EXPECT_EQ(dropped > 0, GetParam().fallback);
}

const Family kFamilies[] = {
    {"gpt-2",
     "ggml-vocab-gpt-2.gguf",
     false,
     false,
     {{"Hello world", {15496, 995}},
      {" Hello  world", {18435, 220, 995}},
      {"I'LL go\r\n\n  in 2024!", {40, 6, 3069, 467, 201, 628, 220, 287, 48609, 0}},
      {"今天 naïve 🦙", {20015, 232, 25465, 41492, 12520, 99, 247}},
      {"a\u0301 e\u0301", {64, 136, 223, 304, 136, 223}},
      {"<|im_start|><s>", {27, 91, 320, 62, 9688, 91, 6927, 82, 29}},
      {"\t\x01"
       "x",
       {197, 189, 87}}}},
    {"llama-bpe",
     "ggml-vocab-llama-bpe.gguf",
     false,
     false,
     {{"Hello world", {128000, 9906, 1917}},
      {" Hello  world", {128000, 22691, 220, 1917}},
      {"I'LL go\r\n\n  in 2024!", {128000, 40, 6, 4178, 733, 81923, 220, 304, 220, 2366, 19, 0}},
      {"今天 naïve 🦙", {128000, 110916, 95980, 588, 11410, 99, 247}},
      {"a\u0301 e\u0301", {128000, 64, 54939, 384, 54939}},
      {"<|im_start|><s>", {128000, 27, 91, 318, 5011, 91, 1822, 82, 29}},
      {"\t\x01"
       "x",
       {128000, 197, 189, 87}}}},
    {"llama-spm",
     "ggml-vocab-llama-spm.gguf",
     true,
     false,
     {{"Hello world", {1, 15043, 3186}},
      {" Hello  world", {1, 29871, 15043, 29871, 3186}},
      {"I'LL go\r\n\n  in 2024!",
       {1, 306, 29915, 2208, 748, 30004, 13, 13, 29871, 297, 29871, 29906, 29900, 29906, 29946,
        29991}},
      {"今天 naïve 🦙", {1, 29871, 31482, 30408, 1055, 30085, 345, 29871, 243, 162, 169, 156}},
      {"a\u0301 e\u0301", {1, 263, 30103, 321, 30103}},
      {"<|im_start|><s>", {1, 529, 29989, 326, 29918, 2962, 29989, 5299, 29879, 29958}},
      {"\t\x01"
       "x",
       {1, 29871, 12, 4, 29916}}}},
    {"qwen2-gguf",
     "ggml-vocab-qwen2.gguf",
     false,
     true,
     {{"Hello world", {9707, 1879}},
      {" Hello  world", {21927, 220, 1879}},
      {"I'LL go\r\n\n  in 2024!", {40, 6, 4086, 728, 80823, 220, 304, 220, 17, 15, 17, 19, 0}},
      {"今天 naïve 🦙", {100644, 94880, 586, 11162, 99, 247}},
      {"a\u0301 e\u0301", {1953, 3958}},
      {"<|im_start|><s>", {27, 91, 318, 4906, 91, 1784, 82, 29}},
      {"\t\x01"
       "x",
       {197, 189, 87}}}},
    {"mistral-v1",
     "mistral-v1.gguf",
     true,
     false,
     {{"Hello world", {1, 22557, 1526}},
      {" Hello  world", {1, 28705, 22557, 28705, 1526}},
      {"I'LL go\r\n\n  in 2024!",
       {1, 315, 28742, 5292, 576, 28801, 13, 13, 28705, 297, 28705, 28750, 28734, 28750, 28781,
        28808}},
      {"今天 naïve 🦙", {1, 28705, 30316, 29354, 1879, 28920, 333, 28705, 243, 162, 169, 156}},
      {"a\u0301 e\u0301", {1, 264, 28949, 317, 28949}},
      {"<|im_start|><s>", {1, 523, 28766, 321, 28730, 2521, 28766, 3409, 28713, 28767}},
      {"\t\x01"
       "x",
       {1, 28705, 12, 29534, 28744}}}},
    {"mistral-v3",
     "mistral-v3.gguf",
     true,
     false,
     {{"Hello world", {1, 23325, 2294}},
      {" Hello  world", {1, 29473, 23325, 29473, 2294}},
      {"I'LL go\r\n\n  in 2024!",
       {1, 1083, 29510, 6060, 1344, 29569, 781, 781, 29473, 1065, 29473, 29518, 29502, 29518, 29549,
        29576}},
      {"今天 naïve 🦙", {1, 29473, 31084, 30122, 2647, 29688, 1101, 29473, 1011, 930, 937, 924}},
      {"a\u0301 e\u0301", {1, 1032, 29717, 1085, 29717}},
      {"<|im_start|><s>", {1, 1291, 29534, 1089, 29498, 3289, 29534, 4177, 29481, 29535}},
      {"\t\x01"
       "x",
       {1, 29473, 780, 30302, 29512}}}},
    {"llama3", "llama3.tokenizer.json", false, false, {}},
    {"qwen2", "qwen2.tokenizer.json", false, true, {}},
    {"smollm", "smollm.tokenizer.json", false, false, {}},
    {"gpt2-flags", "gpt2-flags.tokenizer.json", false, false, {}},
    {"llama2", "llama2.tokenizer.json", true, false, {}},
    {"llama2-flags", "llama2-flags.tokenizer.json", true, false, {}},
    {"mistral", "mistral.tokenizer.json", true, false, {}},
    {"metaspace-flags", "metaspace-flags.tokenizer.json", true, false, {}},
};

std::string NameOf(const ::testing::TestParamInfo<Family>& info) {
  std::string name = info.param.name;
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyTest, ::testing::ValuesIn(kFamilies), NameOf);
INSTANTIATE_TEST_SUITE_P(Families, FetchedFamilyTest, ::testing::ValuesIn(kFamilies, kFamilies + 6),
                         NameOf);

}  // namespace
}  // namespace intactkv
