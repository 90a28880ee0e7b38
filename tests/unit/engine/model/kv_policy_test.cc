#include "engine/model/kv_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>
#include <vector>

namespace intactkv {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kAdr = INTACTKV_SOURCE_DIR "/docs/adr/0005-kv-format-per-family.md";

// The rows of the record's tables with this many cells, each a line, whose second cell is a format.
std::vector<std::string> RowsOfTheRecord(int num_cells) {
  std::ifstream file(kAdr);
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);) {
    if (std::count(line.begin(), line.end(), '|') != num_cells + 1) continue;
    for (const KvFormat format : StoredFormats()) {
      const std::string cell = " | " + std::string(StoredFormatName(format)) + " | ";
      if (line.find(cell) == line.find(" | ")) rows.push_back(line);
    }
  }
  return rows;
}

TEST(KvPolicyTest, TheRecordHasTheSameMeasurements) {
  std::vector<std::string> compiled;
  for (const KvMeasurement& one : KvMeasurements()) {
    char row[200];
    std::snprintf(row, sizeof(row), "| %s | %s | %.5f | %.1f | %s |",
                  std::string(one.architecture).c_str(),
                  std::string(StoredFormatName(one.format)).c_str(), one.mean_kl, one.top1_percent,
                  std::string(one.model).c_str());
    compiled.emplace_back(row);
  }
  EXPECT_EQ(compiled.size(), 8u);
  EXPECT_EQ(RowsOfTheRecord(5), compiled);
}

TEST(KvPolicyTest, TheRecordHasTheSameChoices) {
  const std::vector<std::string> rows = RowsOfTheRecord(3);
  std::set<std::string> architectures;
  for (const std::string& row : rows) {
    const std::string architecture = row.substr(2, row.find(" | ") - 2);
    architectures.insert(architecture);
    const std::string choice(StoredFormatName(AutomaticKvFormat(architecture).format));
    EXPECT_THAT(row, HasSubstr("| " + architecture + " | " + choice + " | "));
  }
  EXPECT_EQ(architectures, (std::set<std::string>{"any other", "llama", "qwen2"}));
}

TEST(KvPolicyTest, NoDefaultIsWarnedOf) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    EXPECT_EQ(ReasonAgainst(architecture, AutomaticKvFormat(architecture).format), "");
  }
  EXPECT_EQ(AutomaticKvFormat("llama").reason,
            "mean KL 0.00002, top-1 99.7 % on SmolLM2-135M-Instruct");
  EXPECT_EQ(AutomaticKvFormat("qwen3").reason, "not measured on a model of the family qwen3");
}

TEST(KvPolicyTest, WhatLosesMoreThanTheBoundIsWarnedOf) {
  int num_warned = 0;
  for (const KvMeasurement& one : KvMeasurements()) {
    const std::string reason = ReasonAgainst(one.architecture, one.format);
    EXPECT_EQ(reason.empty(), one.mean_kl <= kMaxKvMeanKl) << one.architecture;
    num_warned += reason.empty() ? 0 : 1;
  }
  EXPECT_GT(num_warned, 0);
  EXPECT_EQ(ReasonAgainst("qwen2", kKvI4C),
            "mean KL 0.00431, top-1 96.8 % on Qwen2.5-Coder-0.5B-Instruct");
}

TEST(KvPolicyTest, CodesOnAFamilyThatWasNotMeasuredAreWarnedOf) {
  EXPECT_THAT(ReasonAgainst("qwen3", kKvI4C), HasSubstr("not measured"));
  EXPECT_THAT(ReasonAgainst("qwen3", kKvK8V4), HasSubstr("not measured"));
  for (const KvFormat format : {kKvF32, kKvBF16, kKvI8C}) {
    EXPECT_THAT(ReasonAgainst("qwen3", format), IsEmpty());
  }
}

TEST(KvPolicyTest, EveryFormatHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const KvFormat format : StoredFormats()) names.insert(StoredFormatName(format));
  EXPECT_EQ(names, (std::set<std::string_view>{"f32", "bf16", "int8", "k8v4", "int4"}));
}

}  // namespace
}  // namespace intactkv
