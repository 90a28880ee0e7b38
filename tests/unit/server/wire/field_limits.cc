#include "tests/unit/server/wire/field_limits.h"

#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

constexpr char kChat[] = "/v1/chat/completions";
constexpr char kCompletions[] = "/v1/completions";
constexpr size_t kStringLimit = size_t{2} << 20;
constexpr char kTooLong[] = "context_length_exceeded";

std::string Text(size_t bytes) { return "\"" + std::string(bytes, 'a') + "\""; }
std::string Ids(size_t count) { return "[3" + Repeat(",3", count - 1) + "]"; }
std::string Words(size_t count) { return "[\"w\"" + Repeat(",\"w\"", count - 1) + "]"; }
std::string Biases(int count) {
  std::string out = "{\"0\":1";
  for (int id = 1; id < count; ++id) out += ",\"" + std::to_string(id) + "\":1";
  return out + "}";
}

class LimitMaker {
 public:
  std::vector<FieldLimit> Make() {
    for (const char* path : {kChat, kCompletions}) {
      path_ = path;
      base_ = GoodBody(path);
      Sampling();
      Edits();
      Lengths();
      Stops();
    }
    Completions();
    Chat();
    return std::move(limits_);
  }

 private:
  FieldLimit& Add(const std::string& field, const std::string& at_edge,
                  const std::string& outside) {
    limits_.push_back({.path = path_,
                       .at_edge = With(base_, field, at_edge),
                       .outside = With(base_, field, outside),
                       .param = field});
    return limits_.back();
  }

  void Sampling() {
    Add("temperature", "0", "-1e-9");
    Add("temperature", "2", "2.0000001");
    Add("top_p", "1e-38", "0");
    Add("top_p", "1", "1.0000001");
    Add("min_p", "0", "-1e-9");
    Add("min_p", "1", "1.0000001");
    Add("top_k", "-1", "-2");
    Add("top_k", "1", "0");
    Add("top_k", "320", "321");
    Add("n", "1", "0");
    Add("n", "8", "9");
    Add("seed", "9223372036854775807", "9223372036854775808").on_grpc = false;
    Add("seed", "-9223372036854775808", "-9223372036854775809").on_grpc = false;
  }

  void Edits() {
    for (const char* field : {"frequency_penalty", "presence_penalty"}) {
      Add(field, "-2", "-2.0000001");
      Add(field, "2", "2.0000001");
    }
    Add("repetition_penalty", "1e-38", "0");
    Add("repetition_penalty", "2", "2.0000001");
    Add("logit_bias", R"({"0":100})", R"({"0":100.0000001})");
    Add("logit_bias", R"({"319":-100})", R"({"319":-100.0000001})");
    Add("logit_bias", R"({"0":1})", R"({"-1":1})");
    Add("logit_bias", R"({"319":1})", R"({"320":1})");
    Add("logit_bias", Biases(300), Biases(301));
    Add("allowed_token_ids", "[3]", "[]").on_grpc = false;
    Add("allowed_token_ids", "[0,319]", "[0,320]");
    Add("allowed_token_ids", Ids(4096), Ids(4097));
    Add("bad_words", Words(64), Words(65));
    Add("bad_words", "[" + Text(1) + "]", "[" + Text(0) + "]");
    Add("bad_words", "[" + Text(256) + "]", "[" + Text(257) + "]");
  }

  void Lengths() {
    Add("max_tokens", "1", "0");
    Add("max_completion_tokens", "2", "3");  // max_tokens is 2
    Add("min_tokens", "0", "-1");
    Add("min_tokens", "2", "3");
    Add("cache_salt", Text(1), Text(0));
    Add("cache_salt", Text(256), Text(257));
  }

  void Stops() {
    Add("stop", R"(["w","x","y","z"])", R"(["v","w","x","y","z"])");
    Add("stop", Text(256), Text(257));
    Add("stop", Text(1), Text(0));
    Add("stop_token_ids", "[0]", "[-1]");
    Add("stop_token_ids", "[319]", "[320]");
    Add("stop_token_ids", Ids(64), Ids(65));
  }

  void Completions() {
    path_ = kCompletions;
    base_ = GoodBody(path_);
    Add("prompt", "[0]", "[-1]");
    Add("prompt", "[319]", "[320]");
    Add("prompt", Text(1), Text(0));
    Add("prompt", Text(kStringLimit), Text(kStringLimit + 1)).edge_code = kTooLong;
    Add("logprobs", "0", "-1").on_grpc = false;
    Add("logprobs", "20", "21").on_grpc = false;
    base_ = With(base_, "echo", "true");
    Add("max_tokens", "0", "-1");
    // The context: prompt and answer together.
    base_ = With(GoodBody(path_), "prompt", Ids(1));
    const std::string rest = std::to_string(kWireContext - 1);
    const std::string all = std::to_string(kWireContext);
    Add("max_tokens", rest, all).code = kTooLong;
    base_ = With(base_, "max_tokens", "1");
    Add("prompt", Ids(kWireContext - 1), Ids(kWireContext)).code = kTooLong;
    base_ = Without(base_, "max_tokens");  // what is left, at most 16
    Add("prompt", Ids(kWireContext - 1), Ids(kWireContext)).code = kTooLong;
  }

  void Chat() {
    path_ = kChat;
    base_ = With(GoodBody(path_), "logprobs", "true");
    Add("top_logprobs", "0", "-1");
    Add("top_logprobs", "20", "21");
    base_ = GoodBody(path_);
    const auto content = [](const std::string& text) {
      return R"([{"role":"user","content":)" + text + "}]";
    };
    FieldLimit& text =
        Add("messages", content(Text(kStringLimit)), content(Text(kStringLimit + 1)));
    text.param = "messages[0].content";
    text.edge_code = kTooLong;
    const std::string one = R"({"role":"user","content":""})";
    Add("messages", "[" + one + Repeat("," + one, 1023) + "]",
        "[" + one + Repeat("," + one, 1024) + "]")
        .edge_code = kTooLong;
  }

  std::string path_;
  JsonFields base_;
  std::vector<FieldLimit> limits_;
};

}  // namespace

std::vector<FieldLimit> FieldLimits() { return LimitMaker().Make(); }

std::string GrpcForm(const JsonFields& fields) {
  JsonFields out;
  for (const auto& [name, value] : fields) {
    if (name == "prompt" && value.front() == '[') {
      out.emplace_back("token_ids", "{\"ids\":" + value + "}");
    } else if (name == "stop" && value.front() != '[') {
      out.emplace_back(name, "[" + value + "]");
    } else {
      out.emplace_back(name, value);
    }
  }
  return ToJson(out);
}

}  // namespace intactkv::test
