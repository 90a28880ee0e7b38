// Tokenize and Detokenize: what /tokenize and /detokenize say, over gRPC.
#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

class TextCallsTest : public CallFixture {
 protected:
  // "" if it went well, else "code param".
  static std::string Verdict(const grpc::ClientContext& call, const grpc::Status& status) {
    if (status.ok()) return "";
    std::string verdict;
    for (const char* key : {"intactkv-error-code", "intactkv-error-param"}) {
      const auto found = call.GetServerTrailingMetadata().find(key);
      if (found == call.GetServerTrailingMetadata().end()) continue;
      verdict +=
          (verdict.empty() ? "" : " ") + std::string(found->second.data(), found->second.size());
    }
    return verdict;
  }
  std::string Tokenize(const v1::TokenizeRequest& request) {
    grpc::ClientContext call;
    const grpc::Status status = stub_->Tokenize(&call, request, &tokens_);
    return Verdict(call, status);
  }
  std::string Detokenize(const v1::DetokenizeRequest& request) {
    grpc::ClientContext call;
    const grpc::Status status = stub_->Detokenize(&call, request, &text_answer_);
    return Verdict(call, status);
  }
  std::vector<int32_t> Tokens() const { return {tokens_.tokens().begin(), tokens_.tokens().end()}; }
  static v1::TokenizeRequest Chat(const std::string& role, const std::string& content) {
    v1::TokenizeRequest request;
    v1::ChatMessage& message = *request.add_messages();
    message.set_role(role);
    message.set_content(content);
    return request;
  }

  v1::TokenizeResponse tokens_;
  v1::DetokenizeResponse text_answer_;
};

TEST_F(TextCallsTest, TextAndChat) {
  Serve({});
  v1::TokenizeRequest text;
  text.set_prompt("ab");
  EXPECT_EQ(Tokenize(text), "");
  EXPECT_EQ(Tokens(), (std::vector<int32_t>{'a', 'b'}));
  EXPECT_EQ(tokens_.count(), 2);
  EXPECT_EQ(tokens_.max_model_len(), kContext);
  v1::TokenizeRequest chat = Chat("user", "a");
  EXPECT_EQ(Tokenize(chat), "");
  EXPECT_EQ(Tokens(),
            (std::vector<int32_t>{kFakeUser.value, 'a', kFakeEnd.value, kFakeAssistant.value}));
  chat.set_add_generation_prompt(false);
  EXPECT_EQ(Tokenize(chat), "");
  EXPECT_EQ(Tokens(), (std::vector<int32_t>{kFakeUser.value, 'a', kFakeEnd.value}));
  text.set_prompt("");
  EXPECT_EQ(Tokenize(text), "") << "no text is a text of no tokens";
  EXPECT_EQ(tokens_.count(), 0);
}

TEST_F(TextCallsTest, BackToText) {
  Serve({});
  v1::DetokenizeRequest request;
  for (const int64_t id : {0x68, 0x69, 0xC3, kFakeEnd.value}) request.add_tokens(id);
  request.set_model("m");
  EXPECT_EQ(Detokenize(request), "");
  EXPECT_EQ(text_answer_.prompt(), "hi\xEF\xBF\xBD<|end|>");
  EXPECT_EQ(Detokenize({}), "");
  EXPECT_EQ(text_answer_.prompt(), "");
}

TEST_F(TextCallsTest, FaultsNameTheirField) {
  Serve({});
  v1::TokenizeRequest both = Chat("user", "a");
  both.set_prompt("a");
  EXPECT_EQ(Tokenize(both), "invalid_value prompt");
  EXPECT_EQ(Tokenize({}), "missing_required_parameter prompt");
  EXPECT_EQ(Tokenize(Chat("robot", "a")), "invalid_value messages[0].role");
  EXPECT_EQ(Tokenize(Chat("user", kFakeRefusedContent)), "invalid_value messages");
  v1::TokenizeRequest large;
  large.set_prompt(std::string((2 << 20) + 1, 'a'));
  EXPECT_EQ(Tokenize(large), "invalid_value prompt");
  v1::TokenizeRequest other_model;
  other_model.set_model("other");
  EXPECT_EQ(Tokenize(other_model), "model_not_found model");
  for (const int64_t id : {int64_t{-1}, int64_t{kFakeVocabSize}, int64_t{1} << 40}) {
    v1::DetokenizeRequest request;
    request.add_tokens(id);
    EXPECT_EQ(Detokenize(request), "invalid_value tokens") << id;
  }
  v1::DetokenizeRequest other;
  other.set_model("");
  EXPECT_EQ(Detokenize(other), "model_not_found model");
}

TEST_F(TextCallsTest, WhileDrainingButNotWhileLoading) {
  auto loading = GrpcServer::Start({}, &context_, [this] { return posts_.Post(); });
  ASSERT_TRUE(loading.ok());
  server_ = *std::move(loading);
  stub_ = v1::IntactKV::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()),
                                                    grpc::InsecureChannelCredentials()));
  v1::TokenizeRequest text;
  text.set_prompt("ab");
  EXPECT_EQ(Tokenize(text), "loading");
  EXPECT_EQ(Detokenize({}), "loading");
  context_.Publish({&engine_, &codec_, {"m", kContext, kFakeVocabSize, 1, 1}, &encoder_});
  EXPECT_EQ(Tokenize(text), "");
  context_.BeginDrain();
  EXPECT_EQ(Tokenize(text), "");
  EXPECT_EQ(Detokenize({}), "");
}

}  // namespace
}  // namespace intactkv::test
