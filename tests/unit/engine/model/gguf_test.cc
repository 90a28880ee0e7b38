#include "engine/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "tests/support/gguf_writer.h"

namespace intactkv {
namespace {

using test::GgufField;
using test::GgufFieldKind;
using test::GgufImage;
using test::GgufWriter;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::vector<std::byte> Bytes(std::initializer_list<T> values) {
  const std::span<const std::byte> bytes =
      std::as_bytes(std::span<const T>(values.begin(), values.size()));
  return {bytes.begin(), bytes.end()};
}

std::vector<float> Ramp(size_t size) {
  std::vector<float> out(size);
  for (size_t i = 0; i < size; ++i) out[i] = 0.25f * static_cast<float>(i) - 3.0f;
  return out;
}

// Two tensors and one key of each kind that the tests damage.
GgufWriter SmallFile() {
  GgufWriter writer;
  writer.AddString("general.name", "small");
  writer.AddUint32("count", 7);
  writer.AddBool("flag", true);
  writer.AddStringArray("words", {"one", "", "three"});
  writer.AddInt32Array("numbers", {-1, 2});
  writer.AddTensor("first", TensorType::kF32, {3}, Ramp(3));
  writer.AddTensor("second", TensorType::kQ8_0, {32, 2}, Ramp(64));
  return writer;
}

// Sets the field of this kind and owner, or the first of the kind if owner is empty.
std::vector<std::byte> WithField(const GgufImage& image, GgufFieldKind kind,
                                 const std::string& owner, uint64_t value) {
  std::vector<std::byte> bytes = image.bytes;
  for (const GgufField& field : image.fields) {
    if (field.kind != kind || field.owner != owner) continue;
    std::memcpy(bytes.data() + field.offset, &value, field.size);
    return bytes;
  }
  ADD_FAILURE() << "no such field of '" << owner << "'";
  return bytes;
}

// The field's value in the undamaged file.
uint64_t FieldOf(const GgufImage& image, GgufFieldKind kind, const std::string& owner) {
  for (const GgufField& field : image.fields) {
    if (field.kind != kind || field.owner != owner) continue;
    uint64_t value = 0;
    std::memcpy(&value, image.bytes.data() + field.offset, field.size);
    return value;
  }
  ADD_FAILURE() << "no such field of '" << owner << "'";
  return 0;
}

absl::Status ParseStatus(const std::vector<std::byte>& bytes) {
  return GgufFile::Parse(bytes, "x.gguf").status();
}

TEST(GgufTest, ReadsTensorsOfEveryTypeBitForBit) {
  const std::vector<float> values = Ramp(512);
  GgufWriter writer;
  const std::vector<TensorType> types = {
      TensorType::kF32,  TensorType::kF16,  TensorType::kBF16, TensorType::kQ8_0, TensorType::kQ4_0,
      TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ2_K, TensorType::kQ3_K,
      TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K};
  for (const TensorType type : types) {
    writer.AddTensor(std::string(TensorTypeName(type)), type, {256, 2}, values);
  }
  const GgufImage image = writer.Build();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "x.gguf");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors().size(), types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    const GgufTensor& tensor = file->tensors()[i];
    EXPECT_EQ(tensor.type, types[i]);
    EXPECT_THAT(tensor.shape, ElementsAre(256, 2));
    EXPECT_EQ(file->FindTensor(TensorTypeName(types[i])), &tensor);
    const std::vector<std::byte> encoded = test::EncodeTensor(types[i], values);
    EXPECT_TRUE(std::equal(tensor.data.begin(), tensor.data.end(), encoded.begin(), encoded.end()));
    const HostTensor host = file->ToHostTensor(tensor);
    EXPECT_EQ(host.rows, 2);
    EXPECT_EQ(host.cols, 256);
    EXPECT_EQ(host.data, tensor.data.data());
    // And the bytes mean the values: within about half a step of the type.
    const std::vector<float> decoded = test::DecodeTensor(types[i], tensor.data);
    const char bits = TensorTypeName(types[i])[1];
    const double half_step = bits == '2' ? 25 : bits == '3' ? 17 : bits == '4' ? 8 : 4.5;
    for (size_t j = 0; j < values.size(); ++j)
      EXPECT_NEAR(decoded[j], values[j], half_step) << TensorTypeName(types[i]) << j;
  }
  EXPECT_EQ(test::DecodeTensor(TensorType::kF32, file->tensors()[0].data), values);
  EXPECT_EQ(test::DecodeTensor(TensorType::kF16, file->tensors()[1].data), values);  // exact there
  EXPECT_EQ(file->FindTensor("absent"), nullptr);
}

TEST(GgufTest, ReadsMetadataOfEveryType) {
  GgufWriter writer = SmallFile();
  writer.AddRaw("u8", GgufValueType::kUint8, Bytes<uint8_t>({255}));
  writer.AddRaw("i8", GgufValueType::kInt8, Bytes<int8_t>({-128}));
  writer.AddRaw("u16", GgufValueType::kUint16, Bytes<uint16_t>({65535}));
  writer.AddRaw("i16", GgufValueType::kInt16, Bytes<int16_t>({-32768}));
  writer.AddRaw("i32", GgufValueType::kInt32, Bytes<int32_t>({-2147483647}));
  writer.AddRaw("u64", GgufValueType::kUint64, Bytes<uint64_t>({(1ull << 63) - 1}));
  writer.AddRaw("huge", GgufValueType::kUint64, Bytes<uint64_t>({1ull << 63}));
  writer.AddRaw("i64", GgufValueType::kInt64, Bytes<int64_t>({-5}));
  writer.AddRaw("f64", GgufValueType::kFloat64, Bytes<double>({0.1}));
  writer.AddFloat32("f32", 0.5f);
  writer.AddFloat32("nan", std::numeric_limits<float>::quiet_NaN());
  writer.AddFloat32Array("scores", {1.5f, -2.0f});
  const GgufImage image = writer.Build();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "x.gguf");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file->GetString("general.name"), "small");
  EXPECT_EQ(*file->GetInt("count"), 7);
  EXPECT_EQ(*file->GetInt("u8"), 255);
  EXPECT_EQ(*file->GetInt("i8"), -128);
  EXPECT_EQ(*file->GetInt("u16"), 65535);
  EXPECT_EQ(*file->GetInt("i16"), -32768);
  EXPECT_EQ(*file->GetInt("i32"), -2147483647);
  EXPECT_EQ(*file->GetInt("u64"), std::numeric_limits<int64_t>::max());
  EXPECT_THAT(file->GetInt("huge").status().ToString(), HasSubstr("'huge'"));
  EXPECT_EQ(*file->GetInt("i64"), -5);
  EXPECT_EQ(*file->GetFloat("f64"), 0.1);
  EXPECT_EQ(*file->GetFloat("f32"), 0.5);
  EXPECT_THAT(file->GetFloat("nan").status().ToString(), HasSubstr("not a finite number"));
  EXPECT_TRUE(*file->GetBool("flag"));
  EXPECT_THAT(*file->GetStringArray("words"), ElementsAre("one", "", "three"));
  EXPECT_THAT(*file->GetIntArray("numbers"), ElementsAre(-1, 2));
  EXPECT_THAT(*file->GetFloatArray("scores"), ElementsAre(1.5f, -2.0f));
  EXPECT_EQ(*file->GetArrayLength("words"), 3);
}

TEST(GgufTest, GettersNameTheKeyThatIsMissingOrOfAnotherType) {
  const GgufImage image = SmallFile().Build();
  const absl::StatusOr<GgufFile> file = GgufFile::Parse(image.bytes, "x.gguf");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(absl::IsNotFound(file->GetInt("absent").status()));
  EXPECT_THAT(file->GetInt("absent").status().ToString(), HasSubstr("'absent' is missing"));
  EXPECT_THAT(file->GetInt("words").status().ToString(),
              HasSubstr("'words' must be a single value, is an array of string"));
  EXPECT_THAT(file->GetString("count").status().ToString(),
              HasSubstr("'count' must be a string, is uint32"));
  EXPECT_FALSE(file->GetInt("general.name").ok());
  EXPECT_FALSE(file->GetInt("flag").ok());
  EXPECT_FALSE(file->GetFloat("count").ok());
  EXPECT_FALSE(file->GetBool("count").ok());
  EXPECT_FALSE(file->GetStringArray("numbers").ok());
  EXPECT_FALSE(file->GetIntArray("words").ok());
  EXPECT_FALSE(file->GetIntArray("count").ok());
  EXPECT_FALSE(file->GetFloatArray("numbers").ok());
  EXPECT_FALSE(file->GetArrayLength("count").ok());
}

TEST(GgufTest, EveryTruncationIsRefused) {
  const GgufImage image = SmallFile().Build();
  ASSERT_TRUE(ParseStatus(image.bytes).ok());
  for (size_t size = 0; size < image.bytes.size(); ++size) {
    const std::vector<std::byte> cut(image.bytes.begin(),
                                     image.bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const absl::Status status = ParseStatus(cut);
    ASSERT_FALSE(status.ok()) << size;
    ASSERT_EQ(status.ToString().find('\n'), std::string::npos);
  }
  std::vector<std::byte> longer = image.bytes;
  longer.push_back(std::byte{0});
  EXPECT_THAT(ParseStatus(longer).ToString(), HasSubstr("the tensors and their padding need"));
}

struct BadFile {
  const char* name;
  std::function<std::vector<std::byte>()> make;
  absl::StatusCode code;
  const char* message;  // part of it
};

std::vector<std::byte> Damage(GgufFieldKind kind, const std::string& owner, uint64_t value) {
  return WithField(SmallFile().Build(), kind, owner, value);
}

std::vector<std::byte> With(const std::function<void(GgufWriter*)>& change) {
  GgufWriter writer = SmallFile();
  change(&writer);
  return writer.Build().bytes;
}

std::vector<std::byte> WithTensor(uint32_t type, const std::vector<uint64_t>& shape,
                                  size_t data_bytes) {
  return With([&](GgufWriter* w) {
    w->AddRawTensor("odd", type, shape, std::vector<std::byte>(data_bytes));
  });
}

using K = GgufFieldKind;
constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kUnsupported = absl::StatusCode::kUnimplemented;

const BadFile kBadHeaders[] = {
    {"magic", [] { return Damage(K::kMagic, "", 0x46554748); }, kInvalid, "header: magic is"},
    {"version 2", [] { return Damage(K::kVersion, "", 2); }, kUnsupported, "header: version 2"},
    {"version 4", [] { return Damage(K::kVersion, "", 4); }, kUnsupported, "header: version 4"},
    {"big endian", [] { return Damage(K::kVersion, "", 0x03000000); }, kUnsupported, "big-endian"},
    {"no tensors", [] { return Damage(K::kTensorCount, "", 0); }, kInvalid, "tensor count 0"},
    {"one tensor less", [] { return Damage(K::kTensorCount, "", 1); }, kInvalid, "tensor"},
    {"one tensor more", [] { return Damage(K::kTensorCount, "", 3); }, kInvalid, "tensor #2"},
    {"most tensors", [] { return Damage(K::kTensorCount, "", kGgufMaxTensors); }, kInvalid,
     "tensor #2"},
    {"too many tensors", [] { return Damage(K::kTensorCount, "", kGgufMaxTensors + 1); }, kInvalid,
     "tensor count 100001 is not in"},
    {"one key less", [] { return Damage(K::kKeyCount, "", 4); }, kInvalid, "tensor"},
    {"one key more", [] { return Damage(K::kKeyCount, "", 6); }, kInvalid, "tensor #0"},
    {"too many keys", [] { return Damage(K::kKeyCount, "", kGgufMaxKeys + 1); }, kInvalid,
     "metadata count 100001 is above"},
};

const BadFile kBadMetadata[] = {
    {"empty key", [] { return Damage(K::kKeyLength, "count", 0); }, kInvalid, "metadata key #1"},
    {"long key", [] { return Damage(K::kKeyLength, "count", ~0ull); }, kInvalid, "name length"},
    {"key of 257",
     [] { return With([](GgufWriter* w) { w->AddBool(std::string(257, 'k'), true); }); }, kInvalid,
     "name length 257 is not in 1..256"},
    {"newline in key", [] { return With([](GgufWriter* w) { w->AddBool("a\nb", true); }); },
     kInvalid, "'a\\x0ab' has a byte that no name may have"},
    {"same key", [] { return With([](GgufWriter* w) { w->AddUint32("count", 1); }); }, kInvalid,
     "metadata key 'count': appears twice"},
    {"value type", [] { return Damage(K::kValueType, "count", 13); }, kInvalid,
     "metadata key 'count': type 13 is unknown"},
    {"long string",
     [] { return Damage(K::kStringLength, "general.name", kGgufMaxStringBytes + 1); }, kInvalid,
     "metadata key 'general.name': string length 16777217 is above"},
    {"string beyond the file",
     [] { return Damage(K::kStringLength, "general.name", kGgufMaxStringBytes); }, kInvalid,
     "metadata key 'general.name': string is cut off"},
    {"bool", [] { return Damage(K::kValue, "flag", 2); }, kInvalid,
     "metadata key 'flag': a bool is neither 0 nor 1"},
    {"array of arrays", [] { return Damage(K::kArrayType, "numbers", 9); }, kInvalid,
     "metadata key 'numbers': an array of arrays"},
    {"array type", [] { return Damage(K::kArrayType, "numbers", 99); }, kInvalid,
     "metadata key 'numbers': array element type 99"},
    {"long array", [] { return Damage(K::kArrayLength, "numbers", kGgufMaxArrayElements + 1); },
     kInvalid, "metadata key 'numbers': array length 16777217 is above"},
    {"array beyond the file", [] { return Damage(K::kArrayLength, "numbers", 1'000'000); },
     kInvalid, "metadata key 'numbers': value is cut off"},
    {"string array beyond the file", [] { return Damage(K::kArrayLength, "words", 1'000'000); },
     kInvalid, "metadata key 'words': string length"},
    {"alignment 4",
     [] { return With([](GgufWriter* w) { w->AddUint32("general.alignment", 4); }); }, kInvalid,
     "'general.alignment': 4 is not a power of two"},
    {"alignment 48",
     [] { return With([](GgufWriter* w) { w->AddUint32("general.alignment", 48); }); }, kInvalid,
     "'general.alignment': 48 is not a power of two"},
    {"alignment 2 MiB",
     [] { return With([](GgufWriter* w) { w->AddUint32("general.alignment", 2u << 20); }); },
     kInvalid, "'general.alignment': 2097152"},
    {"alignment of a type",
     [] { return With([](GgufWriter* w) { w->AddString("general.alignment", "32"); }); }, kInvalid,
     "'general.alignment' must be an integer"},
    {"split", [] { return With([](GgufWriter* w) { w->AddUint32("split.count", 3); }); },
     kUnsupported, "'split.count': the model is split into 3 files"},
};

const BadFile kBadTensors[] = {
    {"name length", [] { return Damage(K::kNameLength, "second", 65); }, kInvalid,
     "tensor #1: name length 65 is not in 1..64"},
    {"same name",
     [] {
       return With([](GgufWriter* w) { w->AddTensor("first", TensorType::kF32, {1}, Ramp(1)); });
     },
     kInvalid, "tensor 'first': appears twice"},
    {"no dimension", [] { return WithTensor(0, {}, 4); }, kInvalid,
     "tensor 'odd': number of dimensions 0"},
    {"five dimensions", [] { return WithTensor(0, {1, 1, 1, 1, 1}, 4); }, kInvalid,
     "tensor 'odd': number of dimensions 5"},
    {"zero size", [] { return WithTensor(0, {4, 0}, 4); }, kInvalid,
     "tensor 'odd': dimension 1 of size 0"},
    {"product overflows", [] { return WithTensor(0, {1ull << 32, 1ull << 32}, 4); }, kInvalid,
     "tensor 'odd': dimension 1 of size 4294967296 is zero or too large"},
    {"bytes overflow", [] { return WithTensor(0, {1ull << 62}, 4); }, kInvalid,
     "tensor 'odd': shape [4611686018427387904] in F32 reaches beyond"},
    {"size beyond int64", [] { return WithTensor(0, {~0ull}, 4); }, kInvalid,
     "tensor 'odd': dimension 0"},
    {"unknown type", [] { return WithTensor(1000, {32}, 4); }, kInvalid,
     "tensor 'odd': type number 1000 is unknown"},
    {"removed type", [] { return WithTensor(4, {32}, 4); }, kInvalid,
     "tensor 'odd': type number 4 is unknown"},
    {"IQ type", [] { return WithTensor(23, {256}, 136); }, kUnsupported,
     "tensor 'odd': type IQ4_XS is not supported; use a file of the same model in F32, F16, Q4_0, "
     "Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K or BF16, such as Q4_K_M"},
    {"ternary type", [] { return WithTensor(34, {256}, 54); }, kUnsupported,
     "tensor 'odd': type TQ1_0 is not supported; use"},
    {"MXFP4", [] { return WithTensor(39, {32}, 17); }, kUnsupported,
     "tensor 'odd': type MXFP4 is not supported; use"},
    {"columns", [] { return WithTensor(8, {33, 32}, 34 * 33); }, kInvalid,
     "tensor 'odd': shape [33, 32]: type Q8_0 needs columns that are a multiple of 32"},
    {"columns of a K-quant", [] { return WithTensor(12, {128, 2}, 144); }, kInvalid,
     "tensor 'odd': shape [128, 2]: type Q4_K needs columns that are a multiple of 256"},
    {"offset overlaps", [] { return Damage(K::kOffset, "second", 0); }, kInvalid,
     "tensor 'second': offset 0 overlaps"},
    {"offset unaligned", [] { return Damage(K::kOffset, "second", 33); }, kInvalid,
     "tensor 'second': offset 33 leaves a gap"},
    {"offset beyond the file", [] { return Damage(K::kOffset, "second", ~0ull - 31); }, kInvalid,
     "tensor 'second': offset"},
    {"first offset", [] { return Damage(K::kOffset, "first", 32); }, kInvalid,
     "tensor 'first': offset 32 leaves a gap"},
    {"bigger shape", [] { return Damage(K::kDimension, "second", 64); }, kInvalid,
     "tensor 'second': shape [64, 2] in Q8_0 reaches beyond the end of the file"},
    {"smaller shape", [] { return Damage(K::kDimension, "first", 9); }, kInvalid,
     "tensor 'second': offset 32 overlaps"},
    {"smaller last tensor", [] { return WithTensor(0, {1}, 64); }, kInvalid,
     "tensor data: the tensors and their padding need"},
};

class BadFileTest : public ::testing::TestWithParam<BadFile> {};

TEST_P(BadFileTest, IsRefusedWithOneLineThatNamesTheFault) {
  const absl::Status status = ParseStatus(GetParam().make());
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(status.ToString(), HasSubstr(GetParam().message));
  EXPECT_THAT(status.ToString(), HasSubstr("x.gguf: "));
  EXPECT_EQ(status.ToString().find('\n'), std::string::npos);
}

std::string CaseName(const ::testing::TestParamInfo<BadFile>& info) {
  std::string out;
  for (const char* c = info.param.name; *c != '\0'; ++c) out += *c == ' ' || *c == '-' ? '_' : *c;
  return out;
}

INSTANTIATE_TEST_SUITE_P(Header, BadFileTest, ::testing::ValuesIn(kBadHeaders), CaseName);
INSTANTIATE_TEST_SUITE_P(Metadata, BadFileTest, ::testing::ValuesIn(kBadMetadata), CaseName);
INSTANTIATE_TEST_SUITE_P(Tensors, BadFileTest, ::testing::ValuesIn(kBadTensors), CaseName);

TEST(GgufTest, AcceptsWhatLiesJustInsideEachLimit) {
  GgufWriter writer = SmallFile();
  writer.AddBool(std::string(kGgufMaxKeyBytes, 'k'), true);
  writer.AddString("longest", std::string(kGgufMaxStringBytes, 's'));
  std::vector<std::byte> longest_array = Bytes<uint32_t>({0});  // element type uint8
  const std::vector<std::byte> count = Bytes<uint64_t>({kGgufMaxArrayElements});
  longest_array.insert(longest_array.end(), count.begin(), count.end());
  longest_array.resize(longest_array.size() + kGgufMaxArrayElements);
  writer.AddRaw("array", GgufValueType::kArray, longest_array);
  writer.AddStringArray("nothing", {});
  writer.AddTensor(std::string(kGgufMaxTensorNameBytes, 't'), TensorType::kF32, {1, 1, 1, 2},
                   Ramp(2));
  EXPECT_TRUE(ParseStatus(writer.Build().bytes).ok()) << ParseStatus(writer.Build().bytes);
  for (const uint64_t alignment : {uint64_t{8}, uint64_t{64}, kGgufMaxAlignment}) {
    GgufWriter aligned = SmallFile();
    aligned.AddUint32("general.alignment", static_cast<uint32_t>(alignment));
    aligned.set_alignment(alignment);
    EXPECT_TRUE(ParseStatus(aligned.Build().bytes).ok()) << alignment;
  }
  EXPECT_EQ(FieldOf(SmallFile().Build(), K::kOffset, "second"), 32u);
}

}  // namespace
}  // namespace intactkv
