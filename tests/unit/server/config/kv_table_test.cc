#include "server/config/kv_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(std::string_view text) {
  const auto table = ParseKvTable(text, "t.txt");
  if (table.ok()) return "";
  EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(ToStd(table.status().message()));
}

absl::StatusOr<std::vector<KvMode>> Formats(std::string_view text, int num_layers) {
  ASSIGN_OR_RETURN(const KvTable table, ParseKvTable(text, "t.txt"));
  return FormatsOfLayers(table, num_layers);
}

std::string LayerErrorOf(std::string_view text, int num_layers) {
  const auto formats = Formats(text, num_layers);
  return formats.ok() ? "" : std::string(ToStd(formats.status().message()));
}

TEST(KvTableTest, LayersAndRangesInAnyOrder) {
  const auto formats = Formats(
      "# outer layers\n"
      "4 f32\n"
      "\n"
      "\t0-1\tbf16  # the first two\r\n"
      "2-2 k8v4\n"
      "3   int4",
      5);
  ASSERT_TRUE(formats.ok()) << formats.status();
  EXPECT_THAT(*formats, ElementsAre(KvMode::kBf16, KvMode::kBf16, KvMode::kK8v4, KvMode::kInt4,
                                    KvMode::kF32));
}

TEST(KvTableTest, OneRangeMayCoverAll) {
  const auto formats = Formats("0-1023 int8\n", 1024);
  ASSERT_TRUE(formats.ok()) << formats.status();
  EXPECT_EQ(*formats, std::vector<KvMode>(1024, KvMode::kInt8));
}

TEST(KvTableTest, ErrorsNameTheLineAndTheWord) {
  EXPECT_EQ(ErrorOf("0 int8\n\n1 int3\n"),
            "t.txt:3: 'int3' is not one of f32, bf16, int8, k8v4, int4");
  EXPECT_THAT(ErrorOf("0 auto"), HasSubstr("t.txt:1: 'auto' is not one of f32"));
  EXPECT_THAT(ErrorOf("0 INT8"), HasSubstr("'INT8'"));
  EXPECT_THAT(ErrorOf("# only the layer\n0"), HasSubstr("t.txt:2: has 1 words; give a layer"));
  EXPECT_THAT(ErrorOf("0 # int8"), HasSubstr("has 1 words"));
  EXPECT_THAT(ErrorOf("0 int8 int4"), HasSubstr("has 3 words"));
  EXPECT_THAT(ErrorOf("0 - 3 int8"), HasSubstr("has 4 words"));
  EXPECT_EQ(ErrorOf("5-4 int8"), "t.txt:1: '5-4' ends before it begins");
  EXPECT_THAT(ErrorOf(std::string_view("0\0 int8", 7)), HasSubstr("'0\\x00'"));
}

TEST(KvTableTest, LayersAreWholeNumbersUpTo1023) {
  EXPECT_EQ(ErrorOf("0 int8"), "");
  EXPECT_EQ(ErrorOf("1023 int8"), "");
  for (const char* bad : {"1024", "0-1024", "-1", "+1", "1-", "-", "0--1", "0-1-2", "x", "0x1",
                          "1.0", "0,1", "*", "99999999999999999999"}) {
    EXPECT_EQ(ErrorOf(std::string(bad) + " int8"),
              "t.txt:1: '" + std::string(bad) +
                  "' is no layer from 0 to 1023 and no range of them such as 0-7");
  }
}

TEST(KvTableTest, ALayerIsNamedOnce) {
  EXPECT_EQ(ErrorOf("0-3 int8\n4 int4\n3-5 f32\n"),
            "t.txt:3: layer 3 has its format on line 1 already");
  EXPECT_THAT(ErrorOf("2 int8\n2 int8\n"), HasSubstr("t.txt:2: layer 2 has"));
  EXPECT_THAT(ErrorOf("1 int8\n0-9 int8\n"), HasSubstr("t.txt:2: layer 1 has"));
  EXPECT_THAT(ErrorOf("0-9 int8\n4-5 int8\n"), HasSubstr("t.txt:2: layer 4 has"));
  EXPECT_EQ(ErrorOf("0-3 int8\n4-5 f32\n"), "");
}

TEST(KvTableTest, AnEmptyTableIsRefused) {
  for (const char* text : {"", "\n\n", "# 0 int8\n", " \t \r\n"}) {
    EXPECT_EQ(ErrorOf(text), "t.txt: names no layer") << text;
  }
}

TEST(KvTableTest, TheTableFitsTheModelExactly) {
  EXPECT_EQ(LayerErrorOf("0-29 int8", 30), "");
  EXPECT_EQ(LayerErrorOf("\n0-30 int8", 30), "t.txt:2: layer 30: the model's layers are 0-29");
  EXPECT_EQ(LayerErrorOf("0-28 int8", 30),
            "t.txt: no format for layer 29; the model's layers are 0-29");
  EXPECT_EQ(LayerErrorOf("1-29 int8", 30),
            "t.txt: no format for layer 0; the model's layers are 0-29");
  EXPECT_EQ(LayerErrorOf("0-3 int8\n5-9 f32", 10),
            "t.txt: no format for layer 4; the model's layers are 0-9");
  EXPECT_EQ(LayerErrorOf("0 int8", 1), "");
  EXPECT_EQ(LayerErrorOf("1 int8", 1), "t.txt:1: layer 1: the model's layers are 0-0");
}

TEST(KvTableTest, WordsOfTheFlag) {
  for (const char* word : {"auto", "f32", "bf16", "int8", "k8v4", "int4"}) {
    const auto mode = ParseKvMode(word);
    ASSERT_TRUE(mode.ok()) << word;
    EXPECT_EQ(Name(*mode), word);
  }
  EXPECT_FALSE(ParseKvMode("").ok());
  EXPECT_FALSE(ParseKvMode("f16").ok());
}

}  // namespace
}  // namespace intactkv
