// A client that does not read: its call ends, its request is cancelled, and it is never told that
// it got everything.
#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

class SlowReaderTest : public CallFixture {
 protected:
  // Far more than every buffer on the way holds.
  static v1::GenerateRequest Large() {
    v1::GenerateRequest request = Prompt("a");
    request.set_max_tokens(kContext - 10);
    request.set_ignore_eos(true);
    request.set_logprobs(true);
    request.set_top_logprobs(20);
    return request;
  }
};

TEST_F(SlowReaderTest, AWriteThatNobodyTakesEndsTheCall) {
  GrpcServerOptions options;
  options.send_stall = absl::Milliseconds(100);
  Serve(options);
  engine_.AllowSteps(40000);  // it cannot end by itself
  grpc::ClientContext call;
  const auto reader = stub_->Generate(&call, Large());
  engine_.WaitForCancelled(1);  // nobody reads: only the limit can end it
  int64_t tokens = 0;
  for (v1::GenerateResponse response; reader->Read(&response);) tokens += response.logprobs_size();
  EXPECT_LT(tokens, 40000);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

// The engine is done, and the rest waits for a reader that never comes.
TEST_F(SlowReaderTest, AnAnswerCutShortIsNotOk) {
  GrpcServerOptions options;
  options.send_stall = absl::Milliseconds(100);
  Serve(options);
  engine_.AllowSteps(0);
  grpc::ClientContext call;
  v1::GenerateRequest request = Large();
  request.set_max_tokens(40000);
  const auto reader = stub_->Generate(&call, request);
  engine_.WaitForSubmitted(1);
  posts_.Hold(true);  // until the engine's end is known nothing is written, so nothing can stall
  engine_.AllowSteps(-1);
  engine_.WaitForIdle();
  EXPECT_EQ(engine_.num_cancelled(), 0);
  EXPECT_EQ(server_->num_calls(), 1);
  posts_.Hold(false);
  while (server_->num_calls() > 0) std::this_thread::yield();
  int64_t tokens = 0;
  for (v1::GenerateResponse response; reader->Read(&response);) tokens += response.logprobs_size();
  EXPECT_LT(tokens, 40000);
  EXPECT_NE(reader->Finish().error_code(), grpc::StatusCode::OK);
}

TEST_F(SlowReaderTest, AReaderWithinTheLimitGetsEverything) {
  GrpcServerOptions options;
  options.send_stall = absl::Minutes(10);
  Serve(options);
  grpc::ClientContext call;
  v1::GenerateRequest request = Large();
  request.set_max_tokens(40000);
  const auto reader = stub_->Generate(&call, request);
  engine_.WaitForSubmitted(1);
  engine_.WaitForIdle();
  int64_t tokens = 0;
  for (v1::GenerateResponse response; reader->Read(&response);) tokens += response.logprobs_size();
  EXPECT_EQ(tokens, 40000);
  EXPECT_TRUE(reader->Finish().ok());
}

}  // namespace
}  // namespace intactkv::test
