#include <optional>

#include "tests/unit/server/wire/bad_inputs.h"
#include "tests/unit/server/wire/field_limits.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

constexpr char kChat[] = "/v1/chat/completions";
constexpr char kCompletions[] = "/v1/completions";
constexpr size_t kStringLimit = size_t{2} << 20;

// Field values that say the same on gRPC, or cannot be said there: a number that is no int64, a
// list where absent and empty are the same.
enum class OnGrpc { kSame, kNot };

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }
std::string Message(const std::string& role, const std::string& content) {
  return R"({"role":")" + role + R"(","content":")" + content + "\"}";
}

class RowMaker {
 public:
  explicit RowMaker(std::string path) : path_(std::move(path)), is_chat_(path_ == kChat) {}

  std::vector<BadInput> Make() {
    Models();
    if (is_chat_) {
      MessageTypes();
      MessageValues();
      ChatOutput();
    } else {
      Prompts();
      Add(Fault::kOutOfRange, With(Good(), "logprobs", "21"), "logprobs", OnGrpc::kNot);
      Add(Fault::kOutOfRange, With(Good(), "logprobs", "-1"), "logprobs", OnGrpc::kNot);
      WrongTypes("logprobs", {"true", "\"3\"", "[]", "1.5"});
    }
    Lengths();
    Sampling();
    Edits();
    Stops();
    Output();
    TooLong();
    Unsupported();
    return std::move(rows_);
  }

 private:
  JsonFields Good() const { return GoodBody(path_); }

  BadInput& AddRow(Fault fault, const std::string& body, const std::string& param,
                   const std::string& code) {
    std::string shown = body.size() > 120 ? body.substr(0, 120) + "..." : body;
    rows_.push_back({.name = "POST " + path_ + ": " + shown,
                     .fault = fault,
                     .route = "POST " + path_,
                     .request = PostRequest(path_, body),
                     .status = 400,
                     .code = code,
                     .param = param});
    return rows_.back();
  }
  // A fault of values, with the same words on both wires unless `on_grpc` says otherwise.
  BadInput& Add(Fault fault, const JsonFields& fields, const std::string& param,
                OnGrpc on_grpc = OnGrpc::kSame, const std::string& code = "invalid_value") {
    BadInput& row = AddRow(fault, ToJson(fields), param, code);
    if (on_grpc == OnGrpc::kSame) row.grpc_request = GrpcForm(fields);
    if (param == "prompt" && row.grpc_request.find("\"token_ids\"") != std::string::npos) {
      row.grpc_param = "token_ids";
    }
    return row;
  }
  void WrongTypes(const std::string& field, const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      AddRow(Fault::kWrongType, ToJson(With(Good(), field, value)), field, "invalid_type");
    }
  }
  void OutOfRange(const std::string& field, const std::vector<std::string>& values,
                  OnGrpc on_grpc = OnGrpc::kSame) {
    for (const std::string& value : values) {
      Add(Fault::kOutOfRange, With(Good(), field, value), field, on_grpc);
    }
  }

  void Models() {
    WrongTypes("model", {"1", "[]", "{}", "true"});
    AddRow(Fault::kWrongType, ToJson(Without(Good(), "model")), "model",
           "missing_required_parameter");
    for (const char* model : {"\"other\"", "\"\"", "\"TINY\"", "\"tiny \"", "\"../tiny\""}) {
      Add(Fault::kUnknownModel, With(Good(), "model", model), "model", OnGrpc::kSame,
          "model_not_found")
          .status = 404;
    }
  }

  void BadMessage(const std::string& messages, const std::string& param, const std::string& code) {
    AddRow(Fault::kWrongType, ToJson(With(Good(), "messages", messages)), param, code);
  }
  void MessageTypes() {
    WrongTypes("messages", {"\"hello\"", "1", "{}", "true"});
    BadMessage("[1]", "messages[0]", "invalid_type");
    BadMessage(R"([{"role":1,"content":"a"}])", "messages[0].role", "invalid_type");
    BadMessage(R"([{"content":"a"}])", "messages[0].role", "missing_required_parameter");
    BadMessage(R"([{"role":"user"}])", "messages[0].content", "missing_required_parameter");
    BadMessage(R"([{"role":"user","content":null}])", "messages[0].content",
               "missing_required_parameter");
    BadMessage("[" + Message("user", "a") + R"(,{"role":"user","content":1}])",
               "messages[1].content", "invalid_type");
    BadMessage(R"([{"role":"user","content":["a"]}])", "messages[0].content[0]", "invalid_type");
    BadMessage(R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text",
               "missing_required_parameter");
    BadMessage(R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])",
               "messages[0].content[0].type", "unsupported_parameter");
    AddRow(Fault::kWrongType, ToJson(Without(Good(), "messages")), "messages",
           "missing_required_parameter")
        .grpc_request = ToJson(Without(Good(), "messages"));
  }
  void MessageValues() {
    // An empty list and no list are the same on gRPC: missing there.
    OutOfRange("messages", {"[]"}, OnGrpc::kNot);
    const std::string one = Message("user", "a");
    OutOfRange("messages", {"[" + one + Repeat("," + one, 1024) + "]"});
    Add(Fault::kOutOfRange, With(Good(), "messages", "[" + Message("tool", "a") + "]"),
        "messages[0].role");
    Add(Fault::kOutOfRange, With(Good(), "messages", "[" + one + "," + Message("", "a") + "]"),
        "messages[1].role");
    Add(Fault::kOutOfRange,
        With(Good(), "messages", "[" + Message("user", std::string(kStringLimit + 1, 'a')) + "]"),
        "messages[0].content");
    Add(Fault::kOutOfRange, With(Good(), "prompt", "\"a\""), "prompt", OnGrpc::kNot);
    Add(Fault::kOutOfRange, With(Good(), "prompt", "[3]"), "prompt", OnGrpc::kNot);
  }
  void ChatOutput() {
    WrongTypes("logprobs", {"1", "\"true\"", "[]"});
    const JsonFields with = With(Good(), "logprobs", "true");
    Add(Fault::kOutOfRange, With(with, "top_logprobs", "21"), "top_logprobs");
    Add(Fault::kOutOfRange, With(with, "top_logprobs", "-1"), "top_logprobs");
    OutOfRange("top_logprobs", {"2"});  // without logprobs
    WrongTypes("top_logprobs", {"true", "\"3\"", "1.5", "{}"});
  }

  void Prompts() {
    WrongTypes("prompt", {"1", "{}", "true", "[3,\"a\"]", "[3,true]", "[3,1.5]"});
    for (const char* several : {R"(["a","b"])", "[[3],[4]]"}) {
      AddRow(Fault::kUnsupported, ToJson(With(Good(), "prompt", several)), "prompt",
             "unsupported_parameter");
    }
    OutOfRange("prompt", {"\"\"", "[-1]", "[3,320]", "[2147483647]", "[]"});
    OutOfRange("prompt", {"[4294967299]", "[1e400]", "[9223372036854775808]"}, OnGrpc::kNot);
    Add(Fault::kOutOfRange, With(Good(), "prompt", Quoted(std::string(kStringLimit + 1, 'a'))),
        "prompt");
    Add(Fault::kOutOfRange, With(Good(), "messages", "[" + Message("user", "a") + "]"), "messages",
        OnGrpc::kNot);
    AddRow(Fault::kWrongType, ToJson(Without(Good(), "prompt")), "prompt",
           "missing_required_parameter");
    Add(Fault::kOutOfRange, With(Good(), "token_ids", "[3]"), "token_ids", OnGrpc::kNot)
        .grpc_request =
        ToJson(With(Good(), "token_ids", "{\"ids\":[3]}"));  // the same fault, spelled for gRPC
  }

  void Lengths() {
    for (const char* field : {"max_tokens", "max_completion_tokens", "min_tokens"}) {
      WrongTypes(field, {"\"5\"", "true", "[]", "{}", "1.5", "-0.5"});
      OutOfRange(field, {"-1", "-9223372036854775808"});
      OutOfRange(field,
                 {"1e30", "1e400", "-1e400", "9223372036854775808", "-9223372036854775809",
                  "18446744073709551617"},
                 OnGrpc::kNot);
    }
    OutOfRange("max_tokens", {"0"});
    OutOfRange("max_tokens", {"-0.0"}, OnGrpc::kNot);
    Add(Fault::kOutOfRange, With(Good(), "max_completion_tokens", "3"), "max_completion_tokens");
    OutOfRange("min_tokens", {"3"});
    Add(Fault::kOutOfRange, With(Without(Good(), "max_tokens"), "min_tokens", "256"), "min_tokens");
    WrongTypes("ignore_eos", {"1", "\"true\"", "[]"});
  }

  void Sampling() {
    for (const char* field : {"temperature", "top_p", "min_p"}) {
      WrongTypes(field, {"\"1\"", "true", "[]", "{}"});
      OutOfRange(field, {"-0.001", "2.001", "1e300", "-1e300"});
      OutOfRange(field, {"1e400", "-1e400"}, OnGrpc::kNot);
    }
    OutOfRange("top_p", {"0", "1.001", "1e-320"});
    OutOfRange("min_p", {"1.001"});
    for (const char* field : {"top_k", "seed", "n"}) {
      WrongTypes(field, {"\"1\"", "true", "[]", "0.5"});
      OutOfRange(field, {"9223372036854775808", "-9223372036854775809", "1e30", "1e400"},
                 OnGrpc::kNot);
    }
    OutOfRange("top_k", {"0", "-2", "321", "4294967297"});
    OutOfRange("n", {"0", "-1", "9", "4294967297"});
  }

  void Edits() {
    for (const char* field : {"frequency_penalty", "presence_penalty", "repetition_penalty"}) {
      WrongTypes(field, {"\"1\"", "true", "[]", "{}"});
      OutOfRange(field, {"-2.001", "2.001", "1e300", "-1e300"});
      OutOfRange(field, {"1e400", "-1e400"}, OnGrpc::kNot);
    }
    OutOfRange("repetition_penalty", {"0", "-1", "1e-320"});
    WrongTypes("logit_bias", {"1", "[]", "\"3\"", R"({"3":"1"})", R"({"3":null})"});
    OutOfRange("logit_bias", {R"({"320":1})", R"({"-1":1})", R"({"3":100.1})", R"({"3":-1e300})"});
    OutOfRange("logit_bias", {R"({"a":1})", R"({"3":1,"03":1})", R"({"3":1e400})"}, OnGrpc::kNot);
    WrongTypes("allowed_token_ids", {"1", "\"a\"", "[true]", "[0.5]", "{}"});
    OutOfRange("allowed_token_ids", {"[-1]", "[320]", "[3" + Repeat(",3", 4096) + "]"});
    OutOfRange("allowed_token_ids", {"[]"}, OnGrpc::kNot);
    WrongTypes("bad_words", {"1", "{}", "true", "[1]", "[\"a\",null]"});
    OutOfRange("bad_words", {"[\"a\"" + Repeat(",\"a\"", 64) + "]", R"(["a",""])",
                             "[" + Quoted(std::string(257, 'a')) + "]"});
    WrongTypes("include_stop_str_in_output", {"1", "\"true\"", "[]"});
  }

  void Stops() {
    WrongTypes("stop", {"1", "{}", "true", "[1]", "[[\"a\"]]", "[\"a\",null]"});
    OutOfRange("stop",
               {R"(["a","b","c","d","e"])", "\"\"", R"(["a",""])", Quoted(std::string(257, 'a'))});
    WrongTypes("stop_token_ids", {"1", "\"a\"", "[true]", "[0.5]", "{}"});
    OutOfRange("stop_token_ids", {"[-1]", "[320]", "[4294967299]", "[3" + Repeat(",3", 64) + "]"});
    OutOfRange("stop_token_ids", {"[1e400]"}, OnGrpc::kNot);
  }

  void Output() {
    WrongTypes("stream", {"1", "\"true\"", "[]"});
    WrongTypes("return_token_ids", {"1", "\"true\""});
    WrongTypes("echo", {"1", "\"true\""});
    WrongTypes("stream_options", {"1", "[]", "\"include_usage\"", "true"});
    AddRow(Fault::kWrongType,
           ToJson(With(With(Good(), "stream", "true"), "stream_options", R"({"include_usage":1})")),
           "stream_options.include_usage", "invalid_type");
    OutOfRange("stream_options", {R"({"include_usage":true})"}, OnGrpc::kNot);  // without stream
    WrongTypes("cache_salt", {"1", "[]", "{}"});
    OutOfRange("cache_salt", {"\"\"", Quoted(std::string(257, 'a'))});
  }

  void AddTooLong(const JsonFields& fields, const std::string& param) {
    Add(Fault::kPromptTooLong, fields, param, OnGrpc::kSame, "context_length_exceeded");
  }
  void TooLong() {
    const std::string words = Repeat("a ", 2 * kWireContext);
    const std::string limit(kStringLimit, 'a');
    for (const std::string& text : {words, limit}) {
      if (is_chat_) {
        AddTooLong(With(Good(), "messages", "[" + Message("user", text) + "]"), "messages");
      } else {
        AddTooLong(With(Good(), "prompt", Quoted(text)), "prompt");
      }
    }
    if (is_chat_) {
      const std::string one = Message("user", "a");
      AddTooLong(With(Good(), "messages", "[" + one + Repeat("," + one, 1023) + "]"), "messages");
    } else {
      const JsonFields full = With(Good(), "prompt", "[3" + Repeat(",3", kWireContext - 1) + "]");
      AddTooLong(full, "prompt");
      AddTooLong(Without(full, "max_tokens"), "prompt");
    }
    for (const char* many : {"256", "2147483647", "4294967297", "9223372036854775807"}) {
      AddTooLong(With(Good(), "max_tokens", many), "max_tokens");
      AddTooLong(With(Without(Good(), "max_tokens"), "max_completion_tokens", many),
                 "max_completion_tokens");
    }
  }

  void Unsupported() {
    const std::pair<const char*, const char*> fields[] = {
        {"tools", R"([{"type":"function"}])"},
        {"response_format", R"({"type":"json_object"})"},
        {"suffix", "\"x\""},
        {"best_of", "2"},
        {"chat_template", "\"{{ x }}\""},
        {"chat_template_kwargs", R"({"a":1})"}};
    for (const auto& [name, value] : fields) {
      AddRow(Fault::kUnsupported, ToJson(With(Good(), name, value)), name, "unsupported_parameter");
    }
    if (!is_chat_) return;
    Add(Fault::kUnsupported, With(Good(), "echo", "true"), "echo", OnGrpc::kSame,
        "unsupported_parameter");
  }

  const std::string path_;
  const bool is_chat_;
  std::vector<BadInput> rows_;
};

}  // namespace

std::vector<BadInput> GenerationRows() {
  std::vector<BadInput> rows = RowMaker(kChat).Make();
  for (BadInput& row : RowMaker(kCompletions).Make()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace intactkv::test
