#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/text/jinja/evaluator.h"
#include "engine/text/jinja/lexer.h"
#include "engine/text/jinja/parser.h"

namespace intactkv::jinja {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::string> RenderText(const std::string& source, Limits limits = {}) {
  const absl::StatusOr<Body> body = Parse(source);
  if (!body.ok()) return body.status();
  Environment environment{.globals = {{"content", Value::Of("<|x|>", Origin::kRequest)}},
                          .limits = limits};
  const absl::StatusOr<Text> text = Render(*body, environment);
  if (!text.ok()) return text.status();
  return std::string(text->bytes());
}

absl::StatusCode CodeOf(const std::string& source, Limits limits = {}) {
  return RenderText(source, limits).status().code();
}

std::string Repeat(const std::string& part, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += part;
  return out;
}

TEST(JinjaLimitsTest, EndlessWorkIsRefused) {
  for (const std::string& source : std::vector<std::string>{
           "{% for i in range(99999999999) %}{% endfor %}",
           "{% for a in range(2000) %}{% for b in range(2000) %}{% endfor %}{% endfor %}",
           "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
           "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", "{{ 'x' * 99999999999 }}",
           "{{ ('x' * 1000000) * 1000000 }}",
           "{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% "
           "endfor %}",
           "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% "
           "endfor %}",
           "{% set ns = namespace(s='x') %}{% for i in range(40) %}{% set ns.s = ns.s|replace('x', "
           "'xx') %}{% endfor %}",
           "{{ range(999999)|join('x' * 1000) }}",
           "{{ range(90000)|list|tojson(indent=16) * 100 }}", "{{ 'x' * 5000000 }}",
           "{% for i in range(5) %}{{ 'x' * 1000000 }}{% endfor %}",
           "{% set t %}{{ 'x' * 3000000 }}{% endset %}{{ t }}"}) {
    EXPECT_EQ(CodeOf(source), absl::StatusCode::kResourceExhausted) << source;
  }
}

TEST(JinjaLimitsTest, SharedPartsCountEachTimeTheyAreWalked) {
  // 30 levels, each the level below twice: 2^30 leaves in 30 lists.
  const std::string grow =
      "{% set ns = namespace(l=[1]) %}{% for i in range(30) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}";
  EXPECT_TRUE(RenderText(grow).ok());
  for (const std::string use : {"{{ ns.l }}", "{{ ns.l|tojson }}", "{{ ns.l == [ns.l] }}",
                                "{{ ns.l == ns.l }}", "{{ [ns.l]|join }}", "{{ ns.l in [1] }}"}) {
    EXPECT_EQ(CodeOf(grow + use), absl::StatusCode::kResourceExhausted) << use;
  }
}

// Each template does few things, each of them over something long.
TEST(JinjaLimitsTest, WhatIsScannedIsPaidFor) {
  std::string names, entries;
  for (int i = 0; i < 2'000; ++i) names += "{% set v" + std::to_string(i) + " = 0 %}";
  for (int i = 0; i < 1'000; ++i) entries += "'k" + std::to_string(i) + "': 0,";
  const std::string dict = "{% set d = {" + entries + "'z': 0} %}";
  const std::string loop = "{% for i in range(20000) %}", end = "{% endfor %}";
  EXPECT_TRUE(RenderText(names + dict).ok());
  for (const std::string use : {"v1999", "missing is defined"}) {
    EXPECT_EQ(CodeOf(names + loop + "{{ " + use + " }}" + end),
              absl::StatusCode::kResourceExhausted)
        << use;
  }
  for (const std::string use : {"d.z", "d['z']", "'z' in d"}) {
    EXPECT_EQ(CodeOf(dict + loop + "{{ " + use + " }}" + end), absl::StatusCode::kResourceExhausted)
        << use;
  }
  std::string large;
  for (int i = 0; i < 5'000; ++i) large += "'k" + std::to_string(i) + "': 0,";
  EXPECT_EQ(CodeOf("{{ {" + large + "} is mapping }}"), absl::StatusCode::kResourceExhausted);
}

// The needle counts, not only the haystack.
TEST(JinjaLimitsTest, NeedlesArePaidFor) {
  const std::string needle = "{% set n = '" + std::string(100'000, 'x') + "' %}";
  for (const std::string use :
       {"n in 'y'", "'y'.find(n)", "'y'.count(n)", "'y'.replace(n, 'z')", "'y'|replace(n, 'z')",
        "'y'.split(n)", "n.endswith(n)", "{'y': 1}[n]", "'yyy'.strip(n)", "'yyy'|trim(n)"}) {
    EXPECT_EQ(CodeOf(needle + "{% for i in range(2000) %}{% set r = " + use + " %}{% endfor %}"),
              absl::StatusCode::kResourceExhausted)
        << use;
  }
}

// Each entry of a dict may have to be compared to the end of the key.
TEST(JinjaLimitsTest, LongKeysArePaidForOncePerEntry) {
  EXPECT_EQ(CodeOf("{% set n = ('x' * 1000) * 500 %}"
                   "{% set d = {n ~ 1: 1, n ~ 2: 1, n ~ 3: 1, n ~ 4: 1} %}"
                   "{% for i in range(40) %}{{ d[n ~ 5] }}{% endfor %}"),
            absl::StatusCode::kResourceExhausted);
}

// A search is linear also for what makes the plain one quadratic: 2^37 comparisons of bytes.
TEST(JinjaLimitsTest, SearchesAreLinear) {
  EXPECT_EQ(*RenderText("{% set t = ('a' * 1000) * 1000 %}{% set n = ('a' * 1000) * 300 ~ 'b' %}"
                        "{{ n in t }} {{ t.find(n) }} {{ t.count(n) }}"
                        " {{ t.replace(n, '')|length }} {{ t.split(n)|length }}"),
            "False -1 0 1000000 1");
}

TEST(JinjaLimitsTest, DeepValuesAndCyclesAreHarmless) {
  const std::string nest =
      "{% set ns = namespace(l=[1]) %}{% for i in range(N) %}{% set ns.l = [ns.l] %}{% endfor %}ok";
  const auto deep = [&](const std::string& n) {
    std::string source = nest;
    return source.replace(source.find('N'), 1, n);
  };
  EXPECT_TRUE(RenderText(deep("31")).ok());  // 32 lists
  EXPECT_EQ(CodeOf(deep("32")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*RenderText("{% set ns = namespace() %}{% set ns.me = [ns] %}{% for i in [1] %}"
                        "{% set ns.loop = loop %}{% endfor %}ok"),
            "ok");
  // A chain of namespaces is destroyed without recursion.
  EXPECT_EQ(*RenderText("{% set ns = namespace(p=0) %}{% for i in range(50000) %}"
                        "{% set ns.p = namespace(p=ns.p) %}{% endfor %}ok"),
            "ok");
}

TEST(JinjaLimitsTest, BothEdgesOfTheBudgets) {
  EXPECT_TRUE(RenderText("{{ 'ab' * 50 }}", {.operations = 1000, .output_bytes = 100}).ok());
  EXPECT_EQ(CodeOf("{{ 'ab' * 50 }}", {.operations = 1000, .output_bytes = 99}),
            absl::StatusCode::kResourceExhausted);
  const std::string source = "{% for i in range(50) %}{{ i }}{% endfor %}";
  uint64_t needed = 1;
  while (!RenderText(source, {.operations = needed, .output_bytes = 1000}).ok()) ++needed;
  EXPECT_GE(needed, 150u);
  EXPECT_LE(needed, 1000u);
  EXPECT_EQ(CodeOf(source, {.operations = needed - 1, .output_bytes = 1000}),
            absl::StatusCode::kResourceExhausted);
}

TEST(JinjaLimitsTest, NestingOfTheSourceIsBounded) {
  const auto check = [](const std::string& open, const std::string& middle,
                        const std::string& close) {
    const auto nested = [&](int n) { return Repeat(open, n) + middle + Repeat(close, n); };
    EXPECT_TRUE(RenderText("{{ " + nested(20) + " }}").ok()) << nested(20);
    EXPECT_EQ(CodeOf("{{ " + nested(100'000) + " }}"), absl::StatusCode::kInvalidArgument) << open;
  };
  check("(", "1", ")");
  check("[", "1", "]");
  check("{1: ", "1", "}");
  check("-", "1", "");
  check("not ", "1", "");
  check("1 + ", "1", "");
  check("'' ~ ", "1", "");
  check("1 if 1 else ", "1", "");
  check("", "content", "[:]");
  check("", "content", "|trim");
  check("", "content", ".strip()");
  check("", "1", " or 1");
  check("", "1", " is defined");
  check("'a'.strip(", "'b'", ")");
  check("[1][", "0", " * 0]");
  const std::string open = "{% if 1 %}", close = "{% endif %}";
  EXPECT_TRUE(RenderText(Repeat(open, 50) + Repeat(close, 50)).ok());
  EXPECT_EQ(CodeOf(Repeat(open, 101) + Repeat(close, 101)), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Repeat("{% for i in [1] %}", 5000)), absl::StatusCode::kInvalidArgument);
  // elif is a list, not a nest.
  EXPECT_EQ(*RenderText("{% if 0 %}" + Repeat("{% elif 0 %}", 5000) + "{% else %}x{% endif %}"),
            "x");
}

TEST(JinjaLimitsTest, SourcesOverOneMebibyteAreRefused) {
  EXPECT_TRUE(RenderText(std::string(kMaxTemplateBytes, 'x')).ok());
  EXPECT_EQ(CodeOf(std::string(kMaxTemplateBytes + 1, 'x')), absl::StatusCode::kInvalidArgument);
}

TEST(JinjaLimitsTest, NothingButTheGivenValuesCanBeReached) {
  for (const std::string& expression :
       std::vector<std::string>{"''.__class__.__mro__[1].__subclasses__()",
                                "content.__class__.__base__()",
                                "self.__init__.__globals__",
                                "cycler.__init__.__globals__.os.popen('id').read()",
                                "lipsum.__globals__['os'].system('id')",
                                "content.format(content)",
                                "namespace.__init__.__globals__",
                                "range.__class__()",
                                "request.application()",
                                "config.items()",
                                "get_flashed_messages.__globals__.x",
                                "[].__reduce_ex__(2)",
                                "content|attr('__class__')",
                                "content.encode('utf-8')",
                                "joiner.__init__.x",
                                "raise_exception.__globals__.x",
                                "loop.__class__.x",
                                "dict.mro()",
                                "open('/etc/passwd')",
                                "eval('1')",
                                "__import__('os')",
                                "content['__class__']['__mro__']",
                                "''['__class__'].x",
                                "'%s' % content",
                                "content.join.__self__.x"}) {
    EXPECT_FALSE(RenderText("{{ " + expression + " }}").ok()) << expression;
  }
}

TEST(JinjaLimitsTest, ErrorsNameTheLine) {
  const auto message = [](const std::string& source) {
    return std::string(Parse(source).status().message());
  };
  EXPECT_THAT(message("a\nb\n{{ 1 + }}"), HasSubstr("line 3"));
  EXPECT_THAT(message("a\n{% include 'x' %}"), HasSubstr("line 2: tag 'include'"));
  EXPECT_THAT(message("{{ x|\nnope }}"), HasSubstr("line 2: filter 'nope'"));
  EXPECT_EQ(Parse("{{ x|nope }}").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Parse("{{ x is nope }}").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Parse("{% for x in y recursive %}{% endfor %}").status().code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace intactkv::jinja
