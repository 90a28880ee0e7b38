#include "server/request/request_error.h"

#include <gtest/gtest.h>

#include "engine/base/status_macros.h"
#include "server/request/server_context.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

TEST(RequestErrorTest, EveryStatusCodeHasItsHttpStatusAndGoesBackToItself) {
  struct Case {
    absl::Status status;
    int http;
    const char* code;
    absl::StatusCode back;
  };
  const Case cases[] = {
      {InvalidArgument("m"), 400, "invalid_value", absl::StatusCode::kInvalidArgument},
      {OutOfRange("m"), 400, "invalid_value", absl::StatusCode::kInvalidArgument},
      {FailedPrecondition("m"), 400, "invalid_value", absl::StatusCode::kInvalidArgument},
      {NotFound("m"), 404, "not_found", absl::StatusCode::kNotFound},
      {ResourceExhausted("m"), 429, "queue_full", absl::StatusCode::kResourceExhausted},
      {Cancelled("m"), 499, "cancelled", absl::StatusCode::kCancelled},
      {Unimplemented("m"), 501, "not_implemented", absl::StatusCode::kUnimplemented},
      {Unavailable("m"), 503, "draining", absl::StatusCode::kUnavailable},
      {DeadlineExceeded("m"), 504, "deadline_exceeded", absl::StatusCode::kDeadlineExceeded},
      {Internal("m"), 500, "server_error", absl::StatusCode::kInternal},
      {DataLoss("m"), 500, "server_error", absl::StatusCode::kInternal},
  };
  for (const Case& c : cases) {
    const RequestError error = ErrorFromStatus(c.status);
    EXPECT_EQ(error.http_status, c.http) << c.status;
    EXPECT_EQ(error.code, c.code) << c.status;
    EXPECT_EQ(StatusCodeOf(error), c.back) << c.status;
  }
}

TEST(RequestErrorTest, InternalWordsStayInside) {
  EXPECT_EQ(ErrorFromStatus(Internal("at 0x7fff in /src/x.cc")).message.find("0x"),
            std::string::npos);
}

TEST(RequestErrorTest, OverloadSaysWhenToRetryAndADeadlineSaysNotTo) {
  EXPECT_GT(ErrorFromStatus(ResourceExhausted("")).retry_after_seconds, 0);
  EXPECT_GT(LoadingError().retry_after_seconds, 0);
  EXPECT_GT(DrainingError().retry_after_seconds, 0);
  EXPECT_TRUE(ErrorFromStatus(ResourceExhausted("")).retryable);
  EXPECT_FALSE(ErrorFromStatus(DeadlineExceeded("")).retryable);
}

TEST(ServerContextTest, GoesFromLoadingToReadyToDraining) {
  FakeEngine engine;
  FakeTextCodec codec;
  ServerContext context;
  EXPECT_EQ(context.parts(), nullptr);
  EXPECT_EQ(context.NotReady()->code, "loading");
  context.Publish({&engine, &codec, {"m", 10, 20, 0}});
  EXPECT_EQ(context.parts()->model.name, "m");
  EXPECT_FALSE(context.NotReady().has_value());
  context.BeginDrain();
  EXPECT_EQ(context.NotReady()->code, "draining");
}

TEST(ServerContextTest, ADrainThatCameWhileLoadingStays) {
  FakeEngine engine;
  FakeTextCodec codec;
  ServerContext context;
  context.BeginDrain();
  context.Publish({&engine, &codec, {"m", 10, 20, 0}});
  EXPECT_EQ(context.NotReady()->code, "draining");
}

}  // namespace
}  // namespace intactkv
