// The rows of the bad-input table that can be said on gRPC: the same verdict as on REST, in the
// same words; and what only this wire can get wrong. While each is sent another client's answer is
// being generated; afterwards the canary is token-exact and all pages are back.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <set>

#include "intactkv/v1/intactkv.grpc.pb.h"
#include "tests/unit/server/wire/bad_inputs.h"
#include "tests/unit/server/wire/field_limits.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

namespace json = boost::json;

constexpr char kGenerate[] = "/intactkv.v1.IntactKV/Generate";
constexpr size_t kMessageLimit = size_t{4} << 20;

struct Verdict {
  grpc::StatusCode status = grpc::OK;
  std::string code, param, message;
};

std::string Trailer(const grpc::ClientContext& context, const std::string& key) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(key);
  return found == trailers.end() ? "" : std::string(found->second.data(), found->second.size());
}

Verdict VerdictOf(const grpc::ClientContext& context, const grpc::Status& status) {
  return {status.error_code(), Trailer(context, "intactkv-error-code"),
          Trailer(context, "intactkv-error-param"), status.error_message()};
}

grpc::StatusCode GrpcCodeOf(int http_status) {
  return http_status == 404 ? grpc::NOT_FOUND : grpc::INVALID_ARGUMENT;
}

v1::GenerateRequest FromJson(const std::string& text) {
  v1::GenerateRequest request;
  const auto parsed = google::protobuf::util::JsonStringToMessage(text, &request);
  EXPECT_TRUE(parsed.ok()) << parsed.ToString() << " " << text.substr(0, 200);
  return request;
}

std::string MessageOf(const RawAnswer& answer) {
  json::error_code fault;
  const json::value body = json::parse(answer.body, fault);
  if (fault) return answer.body;
  return body.at("error").at("message").as_string().c_str();
}

class GrpcBadInputTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new WireServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  GrpcBadInputTest()
      : channel_(grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->grpc_port()),
                                     grpc::InsecureChannelCredentials())),
        stub_(v1::IntactKV::NewStub(channel_)) {}

  Verdict Generate(const v1::GenerateRequest& request) {
    grpc::ClientContext context;
    const auto reader = stub_->Generate(&context, request);
    for (v1::GenerateResponse response; reader->Read(&response);) {
    }
    return VerdictOf(context, reader->Finish());
  }

  // Any bytes to any method.
  Verdict Call(const std::string& method, const std::string& bytes) {
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(channel_);
    const grpc::Slice slice(bytes);
    const auto call = stub.PrepareCall(&context, method, &queue);
    const auto wait = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      EXPECT_TRUE(queue.Next(&tag, &ok));
    };
    call->StartCall(nullptr);
    wait();
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    wait();
    grpc::Status status;
    call->Finish(&status, nullptr);
    wait();
    return VerdictOf(context, status);
  }

  // Runs `call` beside another client's request; both wires are fine afterwards.
  template <typename Call>
  Verdict Beside(const Call& call) {
    WireServer::Bystander bystander(*server_);
    const Verdict verdict = call();
    bystander.ExpectUnharmed();
    server_->ExpectUnharmed();
    return verdict;
  }

  static WireServer* server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::IntactKV::Stub> stub_;
};
WireServer* GrpcBadInputTest::server_ = nullptr;

TEST_F(GrpcBadInputTest, RowsOfTheTableGetTheVerdictOfRest) {
  int rows = 0;
  for (const BadInput& row : GenerationRows()) {
    if (row.grpc_request.empty()) continue;
    SCOPED_TRACE(row.name + " as " + row.grpc_request.substr(0, 200));
    ++rows;
    const Verdict verdict = Beside([&] { return Generate(FromJson(row.grpc_request)); });
    EXPECT_EQ(verdict.status, GrpcCodeOf(row.status));
    EXPECT_EQ(verdict.code, row.code);
    EXPECT_EQ(verdict.param, row.grpc_param.empty() ? row.param : row.grpc_param);
    if (!row.grpc_param.empty()) continue;
    RawHttpClient client(server_->api_port());
    client.Send(row.request);
    EXPECT_EQ(verdict.message, MessageOf(client.Read()));
  }
  EXPECT_GE(rows, 120);
}

TEST_F(GrpcBadInputTest, FieldLimitsLieWhereThoseOfRestLie) {
  int pairs = 0;
  for (const FieldLimit& limit : FieldLimits()) {
    if (!limit.on_grpc) continue;
    SCOPED_TRACE(limit.path + " " + limit.param);
    ++pairs;
    EXPECT_EQ(Generate(FromJson(GrpcForm(limit.at_edge))).code, limit.edge_code);
    const std::string outside = GrpcForm(limit.outside);
    const Verdict verdict = Generate(FromJson(outside));
    EXPECT_EQ(verdict.status, grpc::INVALID_ARGUMENT);
    EXPECT_EQ(verdict.code, limit.code);
    const bool ids = limit.param == "prompt" && outside.find("token_ids\"") != std::string::npos;
    EXPECT_EQ(verdict.param, ids ? "token_ids" : limit.param);
    server_->ExpectUnharmed();
  }
  EXPECT_GE(pairs, 45);
}

// A field that has values to check has rows: a new one without them fails here.
TEST_F(GrpcBadInputTest, EveryCheckedFieldHasRows) {
  const std::set<std::string> unchecked = {"ignore_eos", "logprobs", "return_token_ids",
                                           "seed",       "user",     "include_stop_str_in_output",
                                           "request_id"};  // on REST it is a header
  std::set<std::string> named;
  for (const BadInput& row : GenerationRows()) {
    if (row.grpc_request.empty()) continue;
    const std::string& param = row.grpc_param.empty() ? row.param : row.grpc_param;
    named.insert(param.substr(0, param.find('[')));
  }
  const auto* fields = v1::GenerateRequest::descriptor();
  for (int i = 0; i < fields->field_count(); ++i) {
    const std::string& name = fields->field(i)->name();
    EXPECT_EQ(named.count(name), unchecked.count(name) == 0 ? 1u : 0u) << name;
  }
}

TEST_F(GrpcBadInputTest, NumbersThatJsonCannotSayAreRefusedByName) {
  for (const char* field : {"temperature", "top_p", "min_p", "frequency_penalty",
                            "presence_penalty", "repetition_penalty"}) {
    for (const char* value : {"\"NaN\"", "\"Infinity\"", "\"-Infinity\""}) {
      SCOPED_TRACE(std::string(field) + " " + value);
      const std::string text = ToJson({{"prompt", "\"a\""}, {field, value}});
      const Verdict verdict = Beside([&] { return Generate(FromJson(text)); });
      EXPECT_EQ(verdict.status, grpc::INVALID_ARGUMENT);
      EXPECT_EQ(verdict.code, "invalid_value");
      EXPECT_EQ(verdict.param, field);
    }
  }
}

TEST_F(GrpcBadInputTest, SeveralPromptsAreAFaultAndNotAChoice) {
  const std::string messages = R"([{"role":"user","content":"a"}])";
  const struct {
    JsonFields fields;
    const char* param;
  } cases[] = {
      {{{"messages", messages}, {"prompt", "\"a\""}}, "prompt"},
      {{{"messages", messages}, {"token_ids", R"({"ids":[3]})"}}, "token_ids"},
      {{{"prompt", "\"a\""}, {"token_ids", R"({"ids":[3]})"}}, "token_ids"},
  };
  for (const auto& [fields, param] : cases) {
    const std::string text = ToJson(fields);
    const Verdict verdict = Beside([&] { return Generate(FromJson(text)); });
    EXPECT_EQ(verdict.status, grpc::INVALID_ARGUMENT) << text;
    EXPECT_EQ(verdict.code, "invalid_value") << text;
    EXPECT_EQ(verdict.param, param) << text;
  }
}

TEST_F(GrpcBadInputTest, BytesThatAreNoMessageAreRefused) {
  const std::string cases[] = {
      std::string("\xff\xff\xff", 3),  // a cut tag
      std::string("\x1a\x05"
                  "ab",
                  4),                              // prompt shorter than it says
      std::string("\x1a\x02\xff\xfe", 4),          // prompt that is no UTF-8
      std::string("\x0a\x01\xc0", 3),              // model that is no UTF-8
      std::string("\x12\x80\x80\x80\x80\x08", 6),  // a length of 2 GiB
      std::string(100'000, '\x33'),                // groups in groups
      "{\"prompt\":\"a\"}",
  };
  for (const std::string& bytes : cases) {
    SCOPED_TRACE(testing::PrintToString(bytes.substr(0, 20)));
    const Verdict verdict = Beside([&] { return Call(kGenerate, bytes); });
    EXPECT_EQ(verdict.status, grpc::INVALID_ARGUMENT) << verdict.message;
    EXPECT_EQ(verdict.code, "malformed_request");
    EXPECT_EQ(verdict.param, "");
  }
}

TEST_F(GrpcBadInputTest, NoMethodTakesWhatIsNoMessage) {
  const auto* service = v1::GenerateRequest::descriptor()->file()->service(0);
  ASSERT_EQ(service->method_count(), 7);
  for (int i = 0; i < service->method_count(); ++i) {
    const std::string method = "/intactkv.v1.IntactKV/" + service->method(i)->name();
    const Verdict verdict = Beside([&] { return Call(method, std::string("\xff\xff\xff", 3)); });
    EXPECT_EQ(verdict.status, grpc::INVALID_ARGUMENT) << method;
    EXPECT_EQ(verdict.code, "malformed_request") << method;
  }
}

// The unary call has the stream's validator.
TEST_F(GrpcBadInputTest, RowsOfTheTableGetTheSameVerdictWhole) {
  int rows = 0;
  for (const BadInput& row : GenerationRows()) {
    if (row.grpc_request.empty()) continue;
    SCOPED_TRACE(row.name + " as " + row.grpc_request.substr(0, 200));
    ++rows;
    const v1::GenerateRequest request = FromJson(row.grpc_request);
    grpc::ClientContext context;
    v1::GenerateUnaryResponse answer;
    const grpc::Status status = stub_->GenerateUnary(&context, request, &answer);
    const Verdict whole = VerdictOf(context, status);
    const Verdict streamed = Generate(request);
    EXPECT_NE(whole.status, grpc::OK);
    EXPECT_EQ(whole.status, streamed.status);
    EXPECT_EQ(whole.code, streamed.code);
    EXPECT_EQ(whole.param, streamed.param);
    EXPECT_EQ(whole.message, streamed.message);
  }
  EXPECT_GE(rows, 120);
  server_->ExpectUnharmed();
}

TEST_F(GrpcBadInputTest, UnknownMethodsAndModels) {
  for (const char* method : {"/intactkv.v1.IntactKV/Generates", "/intactkv.v1.IntactKV/generate",
                             "/intactkv.v2.IntactKV/Generate", "/v1/completions", "/"}) {
    const Verdict verdict = Beside([&] { return Call(method, ""); });
    EXPECT_EQ(verdict.status, grpc::UNIMPLEMENTED) << method;
  }
  const Verdict verdict = Beside([&] {
    grpc::ClientContext context;
    v1::GetModelInfoRequest request;
    request.set_model("other");
    v1::ModelInfo info;
    const grpc::Status status = stub_->GetModelInfo(&context, request, &info);
    return VerdictOf(context, status);
  });
  EXPECT_EQ(verdict.status, grpc::NOT_FOUND);
  EXPECT_EQ(verdict.code, "model_not_found");
  EXPECT_EQ(verdict.param, "model");
}

// The limit of one message, to the byte; `user` changes nothing in the answer.
TEST_F(GrpcBadInputTest, AMessageMayHaveFourMebibytesAndNotOneMore) {
  v1::GenerateRequest request = FromJson(R"({"prompt":"a","max_tokens":1})");
  request.set_user(std::string(kMessageLimit - 100, 'u'));
  request.set_user(
      std::string(kMessageLimit - 100 + (kMessageLimit - request.ByteSizeLong()), 'u'));
  ASSERT_EQ(request.ByteSizeLong(), kMessageLimit);
  EXPECT_EQ(Generate(request).status, grpc::OK);
  request.mutable_user()->push_back('u');
  const Verdict verdict = Beside([&] { return Generate(request); });
  EXPECT_EQ(verdict.status, grpc::RESOURCE_EXHAUSTED);
}

// gRPC may close the connection of a call with too much of it; another client's connection stays.
TEST_F(GrpcBadInputTest, MetadataMayHaveSixteenKibibytes) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto other = v1::IntactKV::NewStub(
      grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->grpc_port()),
                                grpc::InsecureChannelCredentials(), arguments));
  const auto call = [](v1::IntactKV::Stub& stub, size_t bytes) {
    grpc::ClientContext context;
    context.AddMetadata("padding", std::string(bytes, 'x'));
    v1::ModelInfo info;
    return stub.GetModelInfo(&context, {}, &info).error_code();
  };
  EXPECT_EQ(call(*stub_, 1 << 10), grpc::OK);
  EXPECT_EQ(call(*other, 15 << 10), grpc::OK);
  EXPECT_EQ(call(*other, 17 << 10), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(call(*stub_, 1 << 10), grpc::OK) << "another client";
  server_->ExpectUnharmed();
}

}  // namespace
}  // namespace intactkv::test
