#include <algorithm>
#include <set>

#include "tests/unit/server/wire/bad_inputs.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

constexpr size_t kBodyLimit = size_t{4} << 20;
constexpr const char* kMethods[] = {"GET",   "POST",    "PUT",   "DELETE",
                                    "PATCH", "OPTIONS", "TRACE", "BREW"};

bool IsGeneration(const Router::Route& route) {
  return route.path == "/v1/chat/completions" || route.path == "/v1/completions";
}

// A target that the route answers.
std::string TargetOf(const Router::Route& route) {
  return route.is_prefix ? route.path + kWireModel : route.path;
}

std::string Request(const std::string& method, const std::string& target,
                    const std::string& rest = "\r\n") {
  return method + " " + target + " HTTP/1.1\r\nHost: test\r\n" + rest;
}

std::string WithBody(const std::string& method, const std::string& target,
                     const std::string& body) {
  return Request(method, target,
                 "Content-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body);
}

class RowMaker {
 public:
  RowMaker(const Router& router, const Router::Route& route)
      : router_(router), route_(route), target_(TargetOf(route)) {}

  std::vector<BadInput> Make() {
    Neighbours();
    OtherMethods();
    if (route_.method == "POST") {
      PostHeads();
      PostBodies();
      Depths();
    } else {
      BodiesOnGet();
    }
    return std::move(rows_);
  }

 private:
  void Add(BadInput row) {
    row.route = NameOf(route_);
    row.name = row.route + ": " + row.name;
    rows_.push_back(std::move(row));
  }
  void AddBad(Fault fault, const std::string& name, const std::string& request,
              const std::string& code, int status = 400) {
    Add({.name = name,
         .fault = fault,
         .route = {},
         .request = request,
         .status = status,
         .code = code,
         .param = {}});
  }

  void Neighbours() {
    std::string upper = target_;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    const std::string slash = route_.is_prefix ? route_.path : route_.path + "/";
    for (const std::string& target : {slash, upper, "/" + target_, target_ + "%00"}) {
      if (route_.is_prefix && target == target_ + "%00") continue;  // another name below it
      AddBad(Fault::kUnknownRoute, "at " + target, WithBody(route_.method, target, Body()),
             "unknown_route", 404);
    }
  }

  void OtherMethods() {
    std::set<std::string> taken;
    for (const Router::Route& other : router_.routes()) {
      if (other.path == route_.path) taken.insert(other.method);
    }
    const std::string allow = route_.method == "GET" ? "GET, HEAD" : route_.method;
    for (const std::string method : kMethods) {
      if (taken.count(method) != 0) continue;
      const bool has_body = method == "POST" || method == "PUT" || method == "PATCH";
      Add({.name = "by " + method,
           .fault = Fault::kWrongMethod,
           .route = {},
           .request = has_body ? WithBody(method, target_, "{}") : Request(method, target_),
           .status = 405,
           .code = "method_not_allowed",
           .param = {},
           .allow = allow});
    }
  }

  void BodiesOnGet() {
    AddBad(Fault::kMalformed, "a body", WithBody("GET", target_, "{}"), "malformed_request");
    AddBad(Fault::kMalformed, "a chunked body",
           Request("GET", target_, "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
           "malformed_request");
    AddBad(Fault::kMalformed, "a control character in the target", Request("GET", target_ + "\x01"),
           "malformed_request");
    AddBad(
        Fault::kOversized, "a body over the limit",
        Request("GET", target_, "Content-Length: " + std::to_string(kBodyLimit + 1) + "\r\n\r\n"),
        "request_too_large", 413);
    AddBad(Fault::kOversized, "a target over the limit",
           Request("GET", target_ + "?" + Repeat("x", 4096)), "uri_too_long", 414);
  }

  void PostHeads() {
    const std::string body = Body();
    const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
    for (const char* type :
         {"", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
          "Content-Type: application/jsonx\r\n"}) {
      AddBad(Fault::kMalformed, "with '" + std::string(type) + "'",
             Request("POST", target_, type + length + "\r\n" + body), "unsupported_media_type",
             415);
    }
    AddBad(Fault::kMalformed, "compressed",
           Request("POST", target_, "Content-Encoding: gzip\r\n" + length + "\r\n" + body),
           "unsupported_media_type", 415);
    AddBad(Fault::kOversized, "a body over the limit",
           WithBody("POST", target_, body + std::string(kBodyLimit + 1 - body.size(), ' ')),
           "request_too_large", 413);
    AddBad(
        Fault::kOversized, "a chunked body over the limit",
        Request("POST", target_,
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n" +
                    std::string(kBodyLimit + 1, ' ') + "\r\n0\r\n\r\n"),
        "request_too_large", 413);
  }

  void AddBody(Fault fault, const std::string& name, const std::string& body) {
    AddBad(fault, name, WithBody("POST", target_, body), "invalid_json");
  }

  void PostBodies() {
    const std::string good = Body();
    const std::string open = good.substr(0, good.size() - 1);  // without its '}'
    for (const char* body :
         {"", " ", "{", "[]", "null", "7", "\"text\"", "{'a':1}", "{\"a\":NaN}", "{\"a\":Infinity}",
          "{\"a\":01}", "{\"a\":1,}", "{\"a\"}", "{\"a\":\"\n\"}", "{\"a\":\"\\ud800\"}",
          "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xed\xa0\x80\"}"}) {
      AddBody(Fault::kMalformed, "body '" + std::string(body) + "'", body);
    }
    AddBody(Fault::kMalformed, "cut in the middle", good.substr(0, good.size() / 2));
    AddBody(Fault::kMalformed, "something after the object", good + "x");
    AddBody(Fault::kMalformed, "two objects", good + good);
    AddBody(Fault::kMalformed, "a byte order mark", "\xef\xbb\xbf" + good);
    AddBody(Fault::kMalformed, "a NUL byte", open + std::string(",\"\0\":1}", 7));
    AddBody(Fault::kMalformed, "a key twice", open + ",\"x\":1,\"x\":2}");
    AddBody(Fault::kMalformed, "a key twice, once by its escape", open + R"(,"x":1,"\u0078":2})");
    std::string keys;
    for (int i = 0; i < 4097; ++i) keys += ",\"k" + std::to_string(i) + "\":0";
    AddBody(Fault::kMalformed, "too many keys", open + keys + "}");
    AddBody(Fault::kOversized, "more than 16 MiB in memory",
            open + ",\"x\":[0" + Repeat(",0", 1'900'000) + "]}");
  }

  // The object itself is one level.
  void Depths() {
    const std::string good = Body();
    const std::string open = good.substr(0, good.size() - 1);
    for (const size_t depth : {32u, 33u, 1'000u, 100'000u}) {
      const std::string name = std::to_string(depth + 1) + " levels of ";
      AddBody(Fault::kTooDeep, name + "arrays",
              open + ",\"x\":" + Repeat("[", depth) + Repeat("]", depth) + "}");
      AddBody(Fault::kTooDeep, name + "objects",
              open + ",\"x\":" + Repeat("{\"a\":", depth) + "0" + Repeat("}", depth) + "}");
      AddBody(Fault::kTooDeep, name + "arrays, never closed",
              open + ",\"x\":" + Repeat("[", depth));
    }
    AddBody(Fault::kTooDeep, "in a field that is read", "{\"model\":" + Repeat("[", 100'000));
  }

  std::string Body() const {
    return route_.method == "POST" ? ToJson(GoodBody(route_.path)) : std::string();
  }

  const Router& router_;
  const Router::Route& route_;
  const std::string target_;
  std::vector<BadInput> rows_;
};

}  // namespace

const char* Name(Fault fault) {
  static constexpr const char* kNames[] = {
      "malformed",   "oversized",     "too deep",        "wrong type",    "out of range",
      "unsupported", "unknown model", "prompt too long", "unknown route", "wrong method"};
  return kNames[static_cast<size_t>(fault)];
}

std::string NameOf(const Router::Route& route) { return route.method + " " + route.path; }

std::vector<Fault> FaultsOf(const Router::Route& route) {
  std::vector<Fault> faults = {Fault::kMalformed, Fault::kOversized, Fault::kUnknownRoute,
                               Fault::kWrongMethod};
  if (route.is_prefix) faults.push_back(Fault::kUnknownModel);
  if (route.method == "GET") return faults;
  for (const Fault fault :
       {Fault::kTooDeep, Fault::kWrongType, Fault::kOutOfRange, Fault::kUnknownModel}) {
    faults.push_back(fault);
  }
  if (IsGeneration(route)) {
    faults.push_back(Fault::kUnsupported);
    faults.push_back(Fault::kPromptTooLong);
  }
  return faults;
}

std::vector<BadInput> RouteRows(const Router& router, const Router::Route& route) {
  return RowMaker(router, route).Make();
}

std::string Repeat(const std::string& text, size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

std::string ToJson(const JsonFields& fields) {
  std::string json = "{";
  for (const auto& [name, value] : fields) {
    if (json.size() > 1) json += ',';
    json += '"' + name + "\":" + value;
  }
  return json + "}";
}

JsonFields With(JsonFields fields, const std::string& name, const std::string& value) {
  for (auto& [key, text] : fields) {
    if (key == name) {
      text = value;
      return fields;
    }
  }
  fields.emplace_back(name, value);
  return fields;
}

JsonFields Without(JsonFields fields, const std::string& name) {
  std::erase_if(fields, [&](const auto& field) { return field.first == name; });
  return fields;
}

JsonFields GoodBody(const std::string& path) {
  const JsonFields model = {{"model", "\"tiny\""}};
  const std::string hello = R"([{"role":"user","content":"hello"}])";
  if (path == "/v1/chat/completions") {
    return With(With(model, "messages", hello), "max_tokens", "2");
  }
  if (path == "/v1/completions") return With(With(model, "prompt", "\"hello\""), "max_tokens", "2");
  if (path == "/tokenize") return With(model, "prompt", "\"hello\"");
  if (path == "/detokenize") return With(model, "tokens", "[3,4]");
  return model;
}

}  // namespace intactkv::test
