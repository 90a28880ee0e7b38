#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/parser.h"

namespace intactkv::jinja {
namespace {

namespace json = boost::json;

Value FromJson(const json::value& v) {
  switch (v.kind()) {
    case json::kind::null:
      return Value::MakeNone();
    case json::kind::bool_:
      return Value::Of(v.get_bool());
    case json::kind::int64:
      return Value::Of(v.get_int64());
    case json::kind::uint64:
      return Value::Of(static_cast<int64_t>(v.get_uint64()));
    case json::kind::double_:
      return Value::Of(v.get_double());
    case json::kind::string:
      return Value::Of({v.get_string().data(), v.get_string().size()}, Origin::kRequest);
    case json::kind::array: {
      Values items;
      for (const json::value& item : v.get_array()) items.push_back(FromJson(item));
      return Value::List(std::move(items)).value();
    }
    case json::kind::object: {
      Entries entries;
      for (const auto& [key, value] : v.get_object()) {
        entries.emplace_back(Value::Of({key.data(), key.size()}, Origin::kTemplate),
                             FromJson(value));
      }
      return Value::Dict(std::move(entries)).value();
    }
  }
  return Value();
}

std::string Get(const json::object& object, const char* key) {
  return json::value_to<std::string>(object.at(key));
}

absl::StatusOr<std::string> RenderCase(const json::object& golden, const json::object& one) {
  Environment environment;
  environment.now_unix_seconds = golden.at("now").to_number<int64_t>();
  if (const json::value* own = one.if_contains("context")) {
    for (const auto& [key, value] : own->get_object()) {
      environment.globals.emplace_back(std::string(key), FromJson(value));
    }
  }
  for (const auto& [key, value] : golden.at("context").get_object()) {
    environment.globals.emplace_back(std::string(key), FromJson(value));
  }
  const absl::StatusOr<Body> body = Parse(Get(one, "template"));
  if (!body.ok()) return body.status();
  const absl::StatusOr<Text> text = Render(*body, environment);
  if (!text.ok()) return text.status();
  return std::string(text->bytes());
}

TEST(JinjaGoldenTest, EqualsJinja2) {
  std::ifstream file(INTACTKV_SOURCE_DIR "/tests/unit/engine/text/jinja_golden.json");
  std::stringstream text;
  text << file.rdbuf();
  const json::value root = json::parse(text.str());
  const json::object& golden = root.get_object();
  int outputs = 0, errors = 0;
  for (const json::value& value : golden.at("cases").get_array()) {
    const json::object& one = value.get_object();
    const absl::StatusOr<std::string> result = RenderCase(golden, one);
    if (one.contains("error")) {
      EXPECT_FALSE(result.ok()) << Get(one, "template") << "\nrendered as: " << result.value_or("")
                                << "\njinja2: " << Get(one, "error");
      ++errors;
    } else {
      EXPECT_TRUE(result.ok()) << Get(one, "template") << "\n" << result.status();
      EXPECT_EQ(result.value_or(""), Get(one, "output")) << Get(one, "template");
      ++outputs;
    }
  }
  EXPECT_GE(outputs, 120);
  EXPECT_GE(errors, 30);
}

}  // namespace
}  // namespace intactkv::jinja
