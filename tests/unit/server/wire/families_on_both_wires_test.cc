// A tiny model of each architecture, tied and untied, behind the whole server: its greedy answer is
// the same on REST, whole and streamed, and on gRPC, text and ids.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "intactkv/v1/intactkv.grpc.pb.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

namespace json = boost::json;

constexpr char kPrompt[] =
    "The sea is wide, and the ships on it are small; they all come home in the end.";
constexpr int kNumTokens = 40;  // the answer fills a page

struct Answer {
  std::string text;
  std::vector<int64_t> ids;
};

std::string Body(bool stream) {
  return R"({"model":"tiny","prompt":")" + std::string(kPrompt) + R"(","max_tokens":)" +
         std::to_string(kNumTokens) +
         R"(,"temperature":0,"ignore_eos":true,"return_token_ids":true,"stream":)" +
         (stream ? "true}" : "false}");
}

RawAnswer Ask(WireServer& server, bool stream) {
  RawHttpClient client(server.api_port());
  client.Send(PostRequest("/v1/completions", Body(stream)));
  return client.Read();
}

Answer OverRest(WireServer& server) {
  const RawAnswer raw = Ask(server, /*stream=*/false);
  json::error_code fault;
  const json::value body = json::parse(raw.body, fault);
  if (raw.status != 200 || fault) {
    ADD_FAILURE() << raw.status << " " << raw.body;
    return {};
  }
  return {body.at("choices").at(0).at("text").as_string().c_str(), WireServer::IdsOf(raw)};
}

Answer OverGrpc(WireServer& server) {
  const auto stub = v1::IntactKV::NewStub(grpc::CreateChannel(
      "127.0.0.1:" + std::to_string(server.grpc_port()), grpc::InsecureChannelCredentials()));
  v1::GenerateRequest request;
  request.set_prompt(kPrompt);
  request.set_max_tokens(kNumTokens);
  request.set_temperature(0);
  request.set_ignore_eos(true);
  request.set_return_token_ids(true);
  grpc::ClientContext context;
  const auto reader = stub->Generate(&context, request);
  Answer answer;
  for (v1::GenerateResponse part; reader->Read(&part);) {
    answer.text += part.text();
    answer.ids.insert(answer.ids.end(), part.token_ids().begin(), part.token_ids().end());
  }
  const grpc::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return answer;
}

struct Family {
  const char* architecture;
  bool tied;
};

class FamiliesOnBothWiresTest : public ::testing::TestWithParam<Family> {};

TEST_P(FamiliesOnBothWiresTest, OneAnswer) {
  WireServer server({}, {.seed = 11,
                         .vocab = kWireVocab,
                         .architecture = GetParam().architecture,
                         .tied_embeddings = GetParam().tied});
  const Answer rest = OverRest(server);
  ASSERT_EQ(rest.ids.size(), static_cast<size_t>(kNumTokens));
  EXPECT_FALSE(rest.text.empty());
  EXPECT_EQ(WireServer::IdsOfStream(Ask(server, /*stream=*/true)), rest.ids);
  const Answer grpc = OverGrpc(server);
  EXPECT_EQ(grpc.ids, rest.ids);
  EXPECT_EQ(grpc.text, rest.text);
  server.ExpectAllPagesBack();
}

INSTANTIATE_TEST_SUITE_P(Architectures, FamiliesOnBothWiresTest,
                         ::testing::Values(Family{"llama", true}, Family{"llama", false},
                                           Family{"qwen2", true}, Family{"qwen2", false},
                                           Family{"qwen3", true}, Family{"qwen3", false}),
                         [](const auto& info) {
                           return std::string(info.param.architecture) +
                                  (info.param.tied ? "Tied" : "Untied");
                         });

}  // namespace
}  // namespace intactkv::test
