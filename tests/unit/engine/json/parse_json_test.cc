// The limits of the parser, at both edges. What is JSON and what is not: json_reader_test.cc of
// server/openai goes through the same function.
#include "engine/json/parse_json.h"

#include <gtest/gtest.h>

#include <string>

namespace intactkv {
namespace {

// Nothing, or the fault.
std::string Fault(const std::string& text, const JsonLimits& limits) {
  const auto parsed = ParseJson(text, limits);
  const JsonFault* fault = std::get_if<JsonFault>(&parsed);
  if (fault == nullptr) return "";
  switch (*fault) {
    case JsonFault::kInvalid:
      return "invalid";
    case JsonFault::kTooDeep:
      return "deep";
    case JsonFault::kTooManyKeys:
      return "keys";
    case JsonFault::kRepeatedKey:
      return "repeated";
    case JsonFault::kTooLarge:
      return "large";
  }
  return "?";
}

TEST(ParseJsonTest, Depth) {
  EXPECT_EQ(Fault("[[[]]]", {.max_depth = 3}), "");
  EXPECT_EQ(Fault("[[[[]]]]", {.max_depth = 3}), "deep");
  EXPECT_EQ(Fault(std::string(100'000, '['), {}), "deep");
}

TEST(ParseJsonTest, Keys) {
  EXPECT_EQ(Fault(R"({"a": 1, "b": {"c": 2}})", {.max_keys = 3}), "");
  EXPECT_EQ(Fault(R"({"a": 1, "b": {"c": 2}})", {.max_keys = 2}), "keys");
  EXPECT_EQ(Fault(R"({"a:": ":", "b": "\":"})", {.max_keys = 2}), "") << "colons inside strings";
}

TEST(ParseJsonTest, RepeatedKeys) {
  EXPECT_EQ(Fault(R"({"a": 1, "b": {"a": 2}})", {}), "");
  EXPECT_EQ(Fault(R"({"a": 1, "a": 1})", {}), "repeated");
  EXPECT_EQ(Fault(R"([{"a": 1, "\u0061": 1}])", {}), "repeated");
}

TEST(ParseJsonTest, Memory) {
  std::string zeros = "[0";
  for (int i = 0; i < 10'000; ++i) zeros += ",0";
  zeros += "]";
  EXPECT_EQ(Fault(zeros, {.max_expanded_bytes = size_t{4} << 20}), "");
  EXPECT_EQ(Fault(zeros, {.max_expanded_bytes = size_t{64} << 10}), "large");
}

TEST(ParseJsonTest, Text) {
  EXPECT_EQ(Fault("", {}), "invalid");
  EXPECT_EQ(Fault("{", {}), "invalid");
  EXPECT_EQ(Fault("{} x", {}), "invalid");
  EXPECT_EQ(Fault("\"\xff\"", {}), "invalid") << "not UTF-8";
  EXPECT_EQ(Fault(" 1 ", {}), "");
}

}  // namespace
}  // namespace intactkv
