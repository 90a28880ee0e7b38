#include "engine/json/json_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace intactkv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A document and a view on it.
class JsonFieldsTest : public ::testing::Test {
 protected:
  const JsonFields& Read(const std::string& text) {
    absl::StatusOr<boost::json::object> parsed = ParseJsonFile("d/config.json", text, {});
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    object_ = *std::move(parsed);
    fields_.emplace(object_, "d/config.json");
    return *fields_;
  }
  template <typename T>
  static void ExpectError(const absl::StatusOr<T>& got, const std::string& words) {
    EXPECT_EQ(got.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(std::string(got.status().message()), "d/config.json: key 'k'" + words);
  }

 private:
  boost::json::object object_;
  std::optional<JsonFields> fields_;
};

TEST_F(JsonFieldsTest, Integers) {
  EXPECT_EQ(*Read(R"({"k": 1})").GetInt("k", 1, 9), 1);
  EXPECT_EQ(*Read(R"({"k": 9})").GetInt("k", 1, 9), 9);
  ExpectError(Read(R"({"k": 0})").GetInt("k", 1, 9), ": 0 is not a whole number in 1..9");
  ExpectError(Read(R"({"k": 10})").GetInt("k", 1, 9), ": 10 is not a whole number in 1..9");
  for (const char* value : {"1.0", "\"1\"", "true", "[1]", "{}", "18446744073709551615"}) {
    ExpectError(Read(std::string(R"({"k": )") + value + "}").GetInt("k", 1, 9),
                ": is not a whole number in 1..9");
  }
  ExpectError(Read("{}").GetInt("k", 1, 9), ": is missing");
  ExpectError(Read(R"({"k": null})").GetInt("k", 1, 9), ": is missing");
}

TEST_F(JsonFieldsTest, Floats) {
  EXPECT_EQ(*Read(R"({"k": 1e-5})").GetFloat("k", 0, 1), 1e-5);
  EXPECT_EQ(*Read(R"({"k": 8})").GetFloat("k", 0, 9), 8.0);
  ExpectError(Read(R"({"k": 0})").GetFloat("k", 0, 1), ": 0 is not between 0 and 1");
  ExpectError(Read(R"({"k": 1.0})").GetFloat("k", 0, 1), ": 1 is not between 0 and 1");
  ExpectError(Read(R"({"k": 1e400})").GetFloat("k", 0, 1e300), ": inf is not between 0 and 1e+300");
  ExpectError(Read(R"({"k": "1"})").GetFloat("k", 0, 1), ": is not a number");
}

TEST_F(JsonFieldsTest, OtherTypes) {
  EXPECT_TRUE(*Read(R"({"k": true})").GetBool("k"));
  ExpectError(Read(R"({"k": 1})").GetBool("k"), ": is neither true nor false");
  EXPECT_EQ(*Read(R"({"k": "\u00e9"})").GetString("k"), "\xc3\xa9");
  ExpectError(Read(R"({"k": 1})").GetString("k"), ": is not a string");
  EXPECT_THAT(*Read(R"({"k": ["a", "b"]})").GetStrings("k"), ElementsAre("a", "b"));
  ExpectError(Read(R"({"k": ["a", 1]})").GetStrings("k"), ": is not an array of strings");
  ExpectError(Read(R"({"k": "a"})").GetStrings("k"), ": is not an array of strings");
  EXPECT_THAT(*Read(R"({"k": [3, 4]})").GetInts("k", 0, 9), ElementsAre(3, 4));
  ExpectError(Read(R"({"k": 3})").GetInts("k", 0, 9), ": is not an array of whole numbers");
  EXPECT_THAT(*Read(R"({"k": [3, 4]})").GetIntOrInts("k", 0, 9), ElementsAre(3, 4));
  EXPECT_THAT(*Read(R"({"k": 3})").GetIntOrInts("k", 0, 9), ElementsAre(3));
  ExpectError(Read(R"({"k": [3, 10]})").GetIntOrInts("k", 0, 9),
              ": 10 is not a whole number in 0..9");
}

TEST_F(JsonFieldsTest, NullIsMissingAndKnownAsNull) {
  const JsonFields& fields = Read(R"({"a": null, "b": 1})");
  EXPECT_FALSE(fields.Has("a"));
  EXPECT_TRUE(fields.IsNull("a"));
  EXPECT_TRUE(fields.Has("b"));
  EXPECT_FALSE(fields.IsNull("b"));
  EXPECT_FALSE(fields.IsNull("c"));
  EXPECT_THAT(fields.Keys(), ElementsAre("a", "b"));
}

TEST_F(JsonFieldsTest, ObjectsNameTheWholePath) {
  const absl::StatusOr<JsonFields> inner = Read(R"({"a": {"b": 1}})").GetObject("a");
  ASSERT_TRUE(inner.ok());
  EXPECT_EQ(*inner->GetInt("b", 0, 9), 1);
  EXPECT_THAT(inner->GetString("b").status().ToString(), HasSubstr("key 'a.b': is not a string"));
  ExpectError(Read(R"({"k": []})").GetObject("k"), ": is not an object");
}

TEST_F(JsonFieldsTest, WhatIsNoObject) {
  for (const auto& [text, words] :
       {std::pair<const char*, const char*>{"[1]", "f: is not a JSON object"},
        {"{\"a\"", "f: is not valid JSON"},
        {"{\"a\": 1, \"a\": 2}", "f: holds a key twice in one object"}}) {
    const absl::Status status = ParseJsonFile("f", text, {}).status();
    EXPECT_EQ(std::string(status.message()), words);
  }
}

TEST_F(JsonFieldsTest, AKeyOfAFileIsPrintedAsOneLine) {
  const absl::Status status = Read(R"({"a\n\u001b": 1})").GetString("a\n\x1b").status();
  EXPECT_THAT(status.ToString(), HasSubstr("key 'a\\x0a\\x1b'"));
}

}  // namespace
}  // namespace intactkv
