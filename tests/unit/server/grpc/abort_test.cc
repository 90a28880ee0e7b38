// Abort: ends another call by its id, wherever that call is, and no other.
#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

class AbortTest : public CallFixture {
 protected:
  grpc::Status Abort(const std::string& id) {
    grpc::ClientContext call;
    v1::AbortRequest request;
    request.set_request_id(id);
    v1::AbortResponse response;
    return stub_->Abort(&call, request, &response);
  }
  static v1::GenerateRequest Named(const std::string& id) {
    v1::GenerateRequest request = Prompt("a");
    request.set_request_id(id);
    request.set_max_tokens(kContext - 10);
    request.set_ignore_eos(true);
    return request;
  }
};

TEST_F(AbortTest, AStreamByTheIdInItsFirstMessage) {
  Serve({});
  engine_.AllowSteps(2);  // more only when it has been aborted: it cannot end by itself
  grpc::ClientContext call, other_call;
  v1::GenerateRequest request = Named("unused");
  request.clear_request_id();
  const auto reader = stub_->Generate(&call, request);
  v1::GenerateResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(Abort(message.id()).ok());
  while (reader->Read(&message)) {
    EXPECT_FALSE(message.has_finish_reason());
    EXPECT_FALSE(message.has_usage());
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  const auto& trailers = call.GetServerTrailingMetadata();
  ASSERT_EQ(trailers.count("intactkv-error-code"), 1u);
  EXPECT_EQ(trailers.find("intactkv-error-code")->second, "cancelled");
  EXPECT_EQ(engine_.num_cancelled() + engine_.num_running(), 1);
  engine_.AllowSteps(1);
  engine_.WaitForCancelled(1);
  EXPECT_EQ(Abort(message.id()).error_code(), grpc::StatusCode::NOT_FOUND) << "it has ended";
}

TEST_F(AbortTest, AUnaryCallByTheIdThatItsClientChose) {
  Serve({});
  engine_.AllowSteps(2);
  std::thread abort([&] {
    engine_.WaitForSubmitted(1);
    EXPECT_TRUE(Abort("mine").ok());
  });
  grpc::ClientContext call;
  v1::GenerateUnaryResponse answer;
  EXPECT_EQ(stub_->GenerateUnary(&call, Named("mine"), &answer).error_code(),
            grpc::StatusCode::CANCELLED);
  abort.join();
  engine_.AllowSteps(1);
  engine_.WaitForCancelled(1);
}

TEST_F(AbortTest, OnlyThatOne) {
  Serve({});
  engine_.AllowSteps(0);
  grpc::ClientContext call_a, call_b;
  v1::GenerateRequest request_b = Named("b");
  request_b.set_max_tokens(5);
  const auto a = stub_->Generate(&call_a, Named("a"));
  const auto b = stub_->Generate(&call_b, request_b);
  engine_.WaitForSubmitted(2);
  EXPECT_TRUE(Abort("a").ok());
  EXPECT_EQ(a->Finish().error_code(), grpc::StatusCode::CANCELLED);
  engine_.AllowSteps(-1);
  std::string finish;
  for (v1::GenerateResponse piece; b->Read(&piece);) {
    if (piece.has_finish_reason()) finish = piece.finish_reason();
  }
  EXPECT_TRUE(b->Finish().ok());
  EXPECT_EQ(finish, "length");
  engine_.WaitForCancelled(1);
  EXPECT_EQ(engine_.num_cancelled(), 1);
}

TEST_F(AbortTest, BeforeThePromptIsEncoded) {
  Serve({});
  posts_.Hold(true);  // encoded or not, nothing is submitted
  grpc::ClientContext call;
  const auto reader = stub_->Generate(&call, Named("early"));
  while (!Abort("early").ok()) std::this_thread::yield();  // until it has arrived
  posts_.Hold(false);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  while (server_->num_calls() > 0) std::this_thread::yield();
  // The encoded prompt may have been posted first; then it is cancelled, else never submitted.
  if (!engine_.submitted().empty()) engine_.WaitForCancelled(1);
  engine_.WaitForIdle();
}

TEST_F(AbortTest, UnknownAndMissingIds) {
  Serve({});
  EXPECT_EQ(Abort("nobody").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Abort("").error_code(), grpc::StatusCode::NOT_FOUND);
  grpc::ClientContext call;
  v1::AbortResponse response;
  const grpc::Status status = stub_->Abort(&call, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("'request_id'"), std::string::npos);
}

TEST_F(AbortTest, AnIdOfARunningCallIsTaken) {
  Serve({});
  engine_.AllowSteps(0);
  grpc::ClientContext call, second_call;
  const auto first = stub_->Generate(&call, Named("x"));
  engine_.WaitForSubmitted(1);
  const auto second = stub_->Generate(&second_call, Named("x"));
  const grpc::Status refused = second->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(refused.error_message().find("'request_id'"), std::string::npos);
  EXPECT_TRUE(Abort("x").ok()) << "the refused call did not take the id away";
  EXPECT_EQ(first->Finish().error_code(), grpc::StatusCode::CANCELLED);
  engine_.AllowSteps(-1);
  engine_.WaitForCancelled(1);
}

}  // namespace
}  // namespace intactkv::test
