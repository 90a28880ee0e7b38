// GenerateUnary: the same answer as the stream's, in one message, and the same ends.
#include "server/request/request_limits.h"
#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

class UnaryTest : public CallFixture {
 protected:
  grpc::Status Ask(const v1::GenerateRequest& request) {
    grpc::ClientContext call;
    return stub_->GenerateUnary(&call, request, &answer_);
  }
  v1::GenerateUnaryResponse answer_;
};

TEST_F(UnaryTest, GivesWhatTheStreamGives) {
  Serve({});
  engine_.SetCached(3, 2);
  engine_.SetScript([](const GenerationRequest&, int choice, int index) {
    return index == 40 + choice ? kFakeEnd : TokenId('a' + choice);
  });
  v1::GenerateRequest request = Prompt("abc");
  request.set_n(2);
  request.set_max_tokens(100);
  request.set_return_token_ids(true);
  request.set_logprobs(true);
  request.set_top_logprobs(0);
  ASSERT_TRUE(Ask(request).ok());
  std::string text[2];
  std::vector<int32_t> ids[2];
  std::string finish[2];
  int logprobs[2] = {};
  std::vector<int32_t> prompt_ids;
  v1::Usage usage;
  grpc::ClientContext call;
  const auto reader = stub_->Generate(&call, request);
  for (v1::GenerateResponse piece; reader->Read(&piece);) {
    const auto k = static_cast<size_t>(piece.index());
    text[k] += piece.text();
    ids[k].insert(ids[k].end(), piece.token_ids().begin(), piece.token_ids().end());
    logprobs[k] += piece.logprobs_size();
    if (piece.has_finish_reason()) finish[k] = piece.finish_reason();
    prompt_ids.insert(prompt_ids.end(), piece.prompt_token_ids().begin(),
                      piece.prompt_token_ids().end());
    if (piece.has_usage()) usage = piece.usage();
  }
  ASSERT_TRUE(reader->Finish().ok());
  ASSERT_EQ(answer_.choices_size(), 2);
  for (int k = 0; k < 2; ++k) {
    const v1::Choice& choice = answer_.choices(k);
    EXPECT_EQ(choice.index(), k);
    EXPECT_EQ(choice.text(), std::string(static_cast<size_t>(40 + k), static_cast<char>('a' + k)));
    EXPECT_EQ(choice.text(), text[k]);
    EXPECT_EQ(std::vector<int32_t>(choice.token_ids().begin(), choice.token_ids().end()), ids[k]);
    EXPECT_EQ(choice.logprobs_size(), 41 + k);
    EXPECT_EQ(choice.logprobs_size(), logprobs[k]);
    EXPECT_EQ(choice.finish_reason(), "stop");
    EXPECT_EQ(choice.finish_reason(), finish[k]);
  }
  EXPECT_EQ(prompt_ids, (std::vector<int32_t>{'a', 'b', 'c'}));
  EXPECT_EQ(
      std::vector<int32_t>(answer_.prompt_token_ids().begin(), answer_.prompt_token_ids().end()),
      prompt_ids);
  EXPECT_EQ(answer_.usage().SerializeAsString(), usage.SerializeAsString());
  EXPECT_EQ(answer_.usage().completion_tokens(), 83);
  EXPECT_EQ(answer_.usage().prompt_tokens_details().cached_tokens(), 3);
  EXPECT_EQ(answer_.model(), "m");
}

TEST_F(UnaryTest, AFaultHasItsCodeAndNamesItsField) {
  Serve({});
  v1::GenerateRequest request = Prompt("a");
  request.set_temperature(-1);
  grpc::ClientContext call;
  const grpc::Status status = stub_->GenerateUnary(&call, request, &answer_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto& trailers = call.GetServerTrailingMetadata();
  ASSERT_TRUE(trailers.count("intactkv-error-param") == 1);
  EXPECT_EQ(trailers.find("intactkv-error-param")->second, "temperature");
}

TEST_F(UnaryTest, AnAnswerThatFailsMidwayIsNoAnswer) {
  Serve({});
  engine_.SetFailure(absl::InternalError("secret"), 3);
  const grpc::Status status = Ask(Prompt("a"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(status.error_message().find("secret"), std::string::npos);
  EXPECT_EQ(answer_.choices_size(), 0);
}

TEST_F(UnaryTest, AClientThatLeavesEndsItsSequence) {
  Serve({});
  engine_.AllowSteps(2);
  grpc::ClientContext call;
  std::thread leave([&] {
    engine_.WaitForSubmitted(1);
    call.TryCancel();
  });
  EXPECT_EQ(stub_->GenerateUnary(&call, Prompt("a"), &answer_).error_code(),
            grpc::StatusCode::CANCELLED);
  leave.join();
  WaitForCallsAtMost(0);
  engine_.AllowSteps(-1);
  engine_.WaitForCancelled(1);
}

TEST_F(UnaryTest, TheClientsNameForARequestIsItsIdEverywhere) {
  Serve({});
  v1::GenerateRequest request = Prompt("a");
  request.set_request_id("my.request_1-A");
  ASSERT_TRUE(Ask(request).ok());
  EXPECT_EQ(answer_.id(), "my.request_1-A");
  ASSERT_TRUE(Ask(request).ok()) << "it has ended, so its id is free";
  ASSERT_TRUE(Ask(Prompt("a")).ok());
  const auto submitted = engine_.submitted();
  ASSERT_EQ(submitted.size(), 3u);
  EXPECT_EQ(submitted[1].request_id, "my.request_1-A");
  EXPECT_EQ(submitted[2].request_id, answer_.id());
  EXPECT_TRUE(answer_.id().starts_with("gen-")) << answer_.id();
}

TEST_F(UnaryTest, RequestIdsAtTheirLimits) {
  Serve({});
  for (const auto& [id, good] :
       {std::pair(std::string(kMaxRequestIdBytes, 'x'), true),
        std::pair(std::string(kMaxRequestIdBytes + 1, 'x'), false), std::pair(std::string(), false),
        std::pair(std::string("a b"), false), std::pair(std::string("a\n"), false),
        std::pair(std::string("\xC3\xA4"), false)}) {
    v1::GenerateRequest request = Prompt("a");
    request.set_request_id(id);
    const grpc::Status status = Ask(request);
    EXPECT_EQ(status.error_code(), good ? grpc::StatusCode::OK : grpc::StatusCode::INVALID_ARGUMENT)
        << id;
    EXPECT_EQ(status.error_message().find("'request_id'") == std::string::npos, good) << id;
  }
}

}  // namespace
}  // namespace intactkv::test
