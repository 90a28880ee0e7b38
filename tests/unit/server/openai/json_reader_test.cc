#include "server/openai/json_reader.h"

#include <gtest/gtest.h>

#include <limits>

namespace intactkv {
namespace {

std::string Repeat(std::string_view piece, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += piece;
  return out;
}

bool Parses(std::string_view body) {
  const auto object = ParseJsonObject(body);
  if (object.ok()) return true;
  EXPECT_EQ(object.error().http_status, 400);
  EXPECT_EQ(object.error().code, "invalid_json");
  EXPECT_EQ(object.error().param, "");
  EXPECT_FALSE(object.error().message.empty());
  return false;
}

TEST(ParseJsonObjectTest, TakesAnyObject) {
  for (const char* body : {"{}", " \t\r\n{ } \n", R"({"a":[1,{"b":null}],"c":"\u00e9"})"}) {
    EXPECT_TRUE(Parses(body)) << body;
  }
}

TEST(ParseJsonObjectTest, RefusesWhatIsNoObject) {
  for (const char* body : {"", " ", "[]", "[{}]", "1", "\"a\"", "null", "true"}) {
    EXPECT_FALSE(Parses(body)) << body;
  }
}

TEST(ParseJsonObjectTest, RefusesWhatIsNoJson) {
  const std::string bodies[] = {
      "{",
      "{}x",
      "{}{}",
      "{} {}",
      "{}]",
      std::string("{}\0", 3),  // trailing bytes, NUL included
      "\xEF\xBB\xBF{}",        // byte-order mark
      "{\"a\":1,}",
      "{'a':1}",
      "{a:1}",
      "{\"a\" 1}",
      "{\"a\":}",
      "{\"a\":01}",
      "{\"a\":+1}",
      "{\"a\":.5}",
      "{\"a\":1.}",
      "{\"a\":1e}",
      "{\"a\":NaN}",
      "{\"a\":Infinity}",
      "{\"a\":-Infinity}",
      "{\"a\":nul}",
      "{\"a\":\"\n\"}",  // raw control character
      "{\"a\":\"\\x\"}",
      "{\"a\":1 /* c */}",
      "// c\n{}",
  };
  for (const std::string& body : bodies) EXPECT_FALSE(Parses(body)) << body;
}

TEST(ParseJsonObjectTest, RefusesEveryTruncation) {
  const std::string whole = R"({"a":[1.5,{"b":null}],"c":"\u00e9","d":true})";
  ASSERT_TRUE(Parses(whole));
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(Parses(whole.substr(0, n))) << n;
}

TEST(ParseJsonObjectTest, RefusesInvalidUtf8InValuesAndKeys) {
  const char* const bad[] = {
      "\x80",              // a lone continuation
      "\xC3",              // cut short
      "\xC0\xAF",          // overlong
      "\xE0\x80\xAF",      // overlong
      "\xED\xA0\x80",      // a surrogate, encoded
      "\xF4\x90\x80\x80",  // above U+10FFFF
      "\xFF",
  };
  for (const char* bytes : bad) {
    EXPECT_FALSE(Parses(std::string("{\"a\":\"") + bytes + "\"}"));
    EXPECT_FALSE(Parses(std::string("{\"") + bytes + "\":1}"));
  }
  EXPECT_TRUE(Parses("{\"a\":\"\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80\"}"));
}

TEST(ParseJsonObjectTest, RefusesLoneSurrogates) {
  EXPECT_TRUE(Parses(R"({"a":"\ud83d\ude00"})"));
  for (const char* body : {R"({"a":"\ud83d"})", R"({"a":"\ude00"})", R"({"a":"\ude00\ud83d"})",
                           R"({"a":"\ud83dx"})", R"({"a":"\ud83d\u0041"})", R"({"\ud83d":1})"}) {
    EXPECT_FALSE(Parses(body)) << body;
  }
}

TEST(ParseJsonObjectTest, KeepsNulCharactersInStrings) {
  const auto object = ParseJsonObject(R"({"a":"x\u0000y"})");
  ASSERT_TRUE(object.ok());
  std::optional<std::string> text;
  FieldReader(*object).Read("a", text);
  EXPECT_EQ(text, std::string("x\0y", 3));
}

TEST(ParseJsonObjectTest, DepthOnBothEdges) {
  const auto arrays = [](size_t depth) {  // the object is the first level
    return "{\"a\":" + Repeat("[", depth - 1) + Repeat("]", depth - 1) + "}";
  };
  const auto objects = [](size_t depth) {
    return Repeat("{\"a\":", depth - 1) + "{}" + Repeat("}", depth - 1);
  };
  EXPECT_TRUE(Parses(arrays(kMaxJsonDepth)));
  EXPECT_FALSE(Parses(arrays(kMaxJsonDepth + 1)));
  EXPECT_TRUE(Parses(objects(kMaxJsonDepth)));
  EXPECT_FALSE(Parses(objects(kMaxJsonDepth + 1)));
  EXPECT_FALSE(Parses(arrays(1'000'000))) << "no stack is used up";
  EXPECT_FALSE(Parses("{\"a\":" + Repeat("[", 1'000'000)));
}

TEST(ParseJsonObjectTest, KeysOnBothEdges) {
  const auto with_keys = [](size_t count) {
    std::string body = "{";
    for (size_t i = 0; i < count; ++i) {
      body += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":\":\"";  // a colon in each value
    }
    return body + "}";
  };
  EXPECT_TRUE(Parses(with_keys(kMaxJsonKeys)));
  EXPECT_FALSE(Parses(with_keys(kMaxJsonKeys + 1)));
  // Nested keys count too.
  const auto nested = [](size_t count) { return "{\"a\":[" + Repeat("{\"b\":1},", count) + "0]}"; };
  EXPECT_TRUE(Parses(nested(kMaxJsonKeys - 1)));
  EXPECT_FALSE(Parses(nested(kMaxJsonKeys)));
}

TEST(ParseJsonObjectTest, RefusesAKeyTwice) {
  for (const char* body :
       {R"({"a":1,"a":1})", R"({"a":1,"b":2,"a":3})", R"({"x":{"a":1,"a":2}})",
        R"({"x":[{"a":1},{"a":1,"a":2}]})", R"({"a":1,"\u0061":2})", R"({"":1,"":2})"}) {
    EXPECT_FALSE(Parses(body)) << body;
  }
  EXPECT_TRUE(Parses(R"({"a":{"a":1},"b":{"a":1},"A":1})")) << "in different objects it may";
  EXPECT_TRUE(Parses(R"({"a\":1,\"a":1,"b":"\\","c":"x\":y"})")) << "escaped quotes are no ends";
}

TEST(ParseJsonObjectTest, ExpandedSizeIsBounded) {
  const auto array_of = [](size_t count) { return "{\"a\":[" + Repeat("0,", count) + "0]}"; };
  EXPECT_TRUE(Parses(array_of(100'000)));
  EXPECT_FALSE(Parses(array_of(2'000'000))) << "4 MiB on the wire, far more in memory";
  EXPECT_TRUE(Parses("{\"a\":\"" + std::string(size_t{2} << 20, 'x') + "\"}"));
}

class FieldReaderTest : public ::testing::Test {
 protected:
  // Parses `body`, reads field "f" into `out`; "" or "code param".
  template <typename T>
  std::string Read(std::string_view value, std::optional<T>& out) {
    out.reset();
    const auto object = ParseJsonObject("{\"f\":" + std::string(value) + "}");
    if (!object.ok()) return "not json";
    FieldReader fields(*object, "at.");
    fields.Read("f", out);
    if (!fields.error().has_value()) return "";
    EXPECT_FALSE(out.has_value());
    return fields.error()->code + " " + fields.error()->param;
  }
};

constexpr char kType[] = "invalid_type at.f";
constexpr char kValue[] = "invalid_value at.f";

TEST_F(FieldReaderTest, Integers) {
  const struct {
    const char* text;
    const char* verdict;
    int64_t value;
  } rows[] = {
      {"0", "", 0},
      {"-0", "", 0},
      {"-0.0", "", 0},
      {"16.0", "", 16},
      {"1.6e1", "", 16},
      {"1E2", "", 100},
      {"0e5", "", 0},
      {"9223372036854775807", "", std::numeric_limits<int64_t>::max()},
      {"-9223372036854775808", "", std::numeric_limits<int64_t>::min()},
      {"9223372036854775808", kValue, 0},   // 2^63
      {"18446744073709551615", kValue, 0},  // 2^64 - 1
      {"18446744073709551616", kValue, 0},  // 2^64
      {"-9223372036854775809", kValue, 0},
      {"123456789012345678901234567890", kValue, 0},
      {"9007199254740992.0", "", int64_t{1} << 53},
      {"9007199254740994.0", kValue, 0},  // a double that its neighbours share
      {"1e400", kValue, 0},
      {"-1e400", kValue, 0},
      {"1e308", kValue, 0},
      {"1e-400", "", 0},  // underflows to a whole number
      {"16.5", kType, 0},
      {"-0.5", kType, 0},
      {"\"16\"", kType, 0},
      {"true", kType, 0},
      {"[]", kType, 0},
      {"{}", kType, 0},
  };
  for (const auto& row : rows) {
    std::optional<int64_t> out;
    EXPECT_EQ(Read(row.text, out), row.verdict) << row.text;
    if (*row.verdict == '\0') {
      EXPECT_EQ(out, row.value) << row.text;
    }
  }
}

TEST_F(FieldReaderTest, Doubles) {
  const struct {
    const char* text;
    const char* verdict;
    double value;
  } rows[] = {
      {"0", "", 0.0},
      {"-0", "", 0.0},
      {"1", "", 1.0},
      {"0.7", "", 0.7},
      {"1e308", "", 1e308},
      {"1e-400", "", 0.0},
      {"1e400", kValue, 0},
      {"-1e400", kValue, 0},
      {"1e999999999", kValue, 0},
      {"18446744073709551615", "", 18446744073709551615.0},
      {"\"0.7\"", kType, 0},
      {"false", kType, 0},
      {"[0.7]", kType, 0},
  };
  for (const auto& row : rows) {
    std::optional<double> out;
    EXPECT_EQ(Read(row.text, out), row.verdict) << row.text;
    if (*row.verdict == '\0') {
      EXPECT_EQ(out, row.value) << row.text;
    }
  }
}

TEST_F(FieldReaderTest, BooleansStringsAndLists) {
  std::optional<bool> flag;
  EXPECT_EQ(Read("true", flag), "");
  EXPECT_EQ(flag, true);
  for (const char* text : {"0", "1", "\"true\"", "[]", "{}"}) EXPECT_EQ(Read(text, flag), kType);
  std::optional<std::string> string;
  EXPECT_EQ(Read("\"\\u00e9\"", string), "");
  EXPECT_EQ(string, "\xC3\xA9");
  for (const char* text : {"0", "true", "[\"a\"]", "{}"}) EXPECT_EQ(Read(text, string), kType);
  std::optional<std::vector<int64_t>> list;
  EXPECT_EQ(Read("[1,2.0,-3]", list), "");
  EXPECT_EQ(list, (std::vector<int64_t>{1, 2, -3}));
  EXPECT_EQ(Read("[]", list), "");
  EXPECT_EQ(list, std::vector<int64_t>());
  for (const char* text : {"0", "\"1\"", "{}", "[null]", "[1,\"2\"]", "[[1]]", "[1.5]"}) {
    EXPECT_EQ(Read(text, list), kType) << text;
  }
  EXPECT_EQ(Read("[1,1e400]", list), kValue);
}

TEST_F(FieldReaderTest, NullIsAbsent) {
  std::optional<int64_t> number;
  std::optional<std::string> text;
  EXPECT_EQ(Read("null", number), "");
  EXPECT_FALSE(number.has_value());
  EXPECT_EQ(Read("null", text), "");
  EXPECT_FALSE(text.has_value());
}

TEST_F(FieldReaderTest, KeepsTheFirstFault) {
  const auto object = ParseJsonObject(R"({"a":"x","b":"y"})");
  ASSERT_TRUE(object.ok());
  FieldReader fields(*object);
  std::optional<int64_t> number;
  fields.Read("b", number);
  fields.Read("a", number);
  ASSERT_TRUE(fields.error().has_value());
  EXPECT_EQ(fields.error()->param, "b");
}

}  // namespace
}  // namespace intactkv
