#include "tests/unit/server/wire/bad_inputs.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

constexpr size_t kStringLimit = size_t{2} << 20;

class RowMaker {
 public:
  std::vector<BadInput> Make() {
    Tokenize();
    Detokenize();
    ModelByName();
    return std::move(rows_);
  }

 private:
  void Add(Fault fault, const std::string& path, const JsonFields& fields, const std::string& param,
           const std::string& code) {
    const std::string body = ToJson(fields);
    rows_.push_back({.name = "POST " + path + ": " + body.substr(0, 120),
                     .fault = fault,
                     .route = "POST " + path,
                     .request = PostRequest(path, body),
                     .status = fault == Fault::kUnknownModel ? 404 : 400,
                     .code = code,
                     .param = param});
  }
  void AddField(Fault fault, const std::string& path, const std::string& field,
                const std::vector<std::string>& values, const std::string& code) {
    for (const std::string& value : values) {
      Add(fault, path, With(GoodBody(path), field, value), field, code);
    }
  }
  void AddModels(const std::string& path) {
    AddField(Fault::kWrongType, path, "model", {"1", "[]", "true"}, "invalid_type");
    AddField(Fault::kUnknownModel, path, "model", {"\"other\"", "\"\""}, "model_not_found");
  }
  void AddMessages(Fault fault, const std::string& messages, const std::string& param,
                   const std::string& code) {
    const JsonFields base = Without(GoodBody("/tokenize"), "prompt");
    Add(fault, "/tokenize", With(base, "messages", messages), param, code);
  }

  void Tokenize() {
    const std::string path = "/tokenize";
    AddModels(path);
    AddField(Fault::kWrongType, path, "prompt", {"1", "[3]", "{}", "true"}, "invalid_type");
    AddField(Fault::kWrongType, path, "add_generation_prompt", {"1", "\"true\""}, "invalid_type");
    Add(Fault::kWrongType, path, Without(GoodBody(path), "prompt"), "prompt",
        "missing_required_parameter");
    Add(Fault::kOutOfRange, path, With(GoodBody(path), "messages", "[]"), "prompt",
        "invalid_value");
    Add(Fault::kOutOfRange, path,
        With(GoodBody(path), "prompt", "\"" + std::string(kStringLimit + 1, 'a') + "\""), "prompt",
        "invalid_value");
    AddMessages(Fault::kWrongType, "\"a\"", "messages", "invalid_type");
    AddMessages(Fault::kWrongType, R"([{"role":"user"}])", "messages[0].content",
                "missing_required_parameter");
    const std::string one = R"({"role":"user","content":"a"})";
    AddMessages(Fault::kOutOfRange, "[]", "messages", "invalid_value");
    AddMessages(Fault::kOutOfRange, "[" + one + Repeat("," + one, 1024) + "]", "messages",
                "invalid_value");
    AddMessages(Fault::kOutOfRange, R"([{"role":"tool","content":"a"}])", "messages[0].role",
                "invalid_value");
    AddMessages(Fault::kOutOfRange,
                R"([{"role":"user","content":")" + std::string(kStringLimit + 1, 'a') + "\"}]",
                "messages[0].content", "invalid_value");
  }

  void Detokenize() {
    const std::string path = "/detokenize";
    AddModels(path);
    AddField(Fault::kWrongType, path, "tokens", {"3", "\"a\"", "{}", "[\"a\"]", "[1.5]", "[true]"},
             "invalid_type");
    Add(Fault::kWrongType, path, Without(GoodBody(path), "tokens"), "tokens",
        "missing_required_parameter");
    AddField(Fault::kOutOfRange, path, "tokens",
             {"[-1]", "[3,320]", "[4294967299]", "[1e400]", "[9223372036854775808]"},
             "invalid_value");
  }

  void ModelByName() {
    for (const char* name :
         {"other", "TINY", "tiny/", "tiny%20", "..%2ftiny", "%74iny%", "%zz", "tiny%00", "%00"}) {
      rows_.push_back(
          {.name = "GET /v1/models/" + std::string(name),
           .fault = Fault::kUnknownModel,
           .route = "GET /v1/models/",
           .request = "GET /v1/models/" + std::string(name) + " HTTP/1.1\r\nHost: test\r\n\r\n",
           .status = 404,
           .code = "model_not_found",
           .param = "model"});
    }
  }

  std::vector<BadInput> rows_;
};

}  // namespace

std::vector<BadInput> TextRows() { return RowMaker().Make(); }

}  // namespace intactkv::test
