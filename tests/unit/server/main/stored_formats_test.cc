#include "server/main/stored_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/status_macros.h"
#include "engine/model/kv_policy.h"

namespace intactkv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

StoredFormatChoice Choose(const ServerConfig& config, std::string_view architecture = "llama") {
  auto choice = ChooseStoredFormats(config, architecture, 4);
  EXPECT_TRUE(choice.ok()) << choice.status();
  return choice.ok() ? *choice : StoredFormatChoice{};
}

ServerConfig WithTable(std::string_view text) {
  ServerConfig config;
  config.kv_table = ParseKvTable(text, "t.txt").value();
  return config;
}

TEST(StoredFormatsTest, AutoTakesWhatTheFamilyBearsAndSaysWhy) {
  const StoredFormatChoice choice = Choose({});
  EXPECT_EQ(choice.layers, std::vector<KvFormat>(4, AutomaticKvFormat("llama").format));
  EXPECT_EQ(choice.name, "int8");
  EXPECT_EQ(choice.reason,
            "--kv auto for llama: mean KL 0.00002, top-1 99.7 % on SmolLM2-135M-Instruct");
  EXPECT_THAT(choice.warnings, IsEmpty());
}

TEST(StoredFormatsTest, EachWordIsItsFormat) {
  for (const KvFormat format : StoredFormats()) {
    ServerConfig config;
    config.kv = ParseKvMode(StoredFormatName(format)).value();
    const StoredFormatChoice choice = Choose(config);
    EXPECT_EQ(choice.layers, std::vector<KvFormat>(4, format));
    EXPECT_EQ(choice.name, StoredFormatName(format));
    EXPECT_EQ(choice.reason, "--kv " + choice.name);
    EXPECT_EQ(choice.warnings.empty(), ReasonAgainst("llama", format).empty());
  }
}

TEST(StoredFormatsTest, AFormatAgainstTheTableIsWarnedOfOnce) {
  ServerConfig config;
  config.kv = KvMode::kInt4;
  EXPECT_THAT(Choose(config, "qwen2").warnings,
              ElementsAre("warning: stored KV pages in int4: mean KL 0.00431, top-1 96.8 % on "
                          "Qwen2.5-Coder-0.5B-Instruct; --kv auto takes int8"));
  EXPECT_THAT(Choose(WithTable("0 int4\n1 f32\n2-3 int4"), "qwen2").warnings,
              ElementsAre(HasSubstr("int4")));
  EXPECT_THAT(Choose(WithTable("0-1 int4\n2-3 k8v4"), "qwen3").warnings,
              ElementsAre(HasSubstr("k8v4: not measured"), HasSubstr("int4: not measured")));
}

TEST(StoredFormatsTest, ATableIsNamedByItsRuns) {
  const StoredFormatChoice choice = Choose(WithTable("0 bf16\n1 k8v4\n2-3 int8"));
  EXPECT_THAT(choice.layers, ElementsAre(kKvBF16, kKvK8V4, kKvI8C, kKvI8C));
  EXPECT_EQ(choice.name, "0 bf16, 1 k8v4, 2-3 int8");
  EXPECT_EQ(choice.reason, "--kv-table t.txt");
  EXPECT_EQ(Choose(WithTable("0-1 f32\n2-3 f32")).name, "f32");
}

TEST(StoredFormatsTest, ATableForAnotherModelIsRefusedByTheFlag) {
  const auto choice = ChooseStoredFormats(WithTable("0-4 int8"), "llama", 4);
  ASSERT_FALSE(choice.ok());
  EXPECT_EQ(std::string(ToStd(choice.status().message())),
            "--kv-table: t.txt:1: layer 4: the model's layers are 0-3");
}

}  // namespace
}  // namespace intactkv
