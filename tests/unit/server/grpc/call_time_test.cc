// How long a call may take: the client's deadline or the server's limit, whichever comes first.
#include "engine/base/monotonic_time.h"
#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

class CallTimeTest : public CallFixture {
 protected:
  absl::Time DeadlineOfTheOnlyRequest() {
    const auto submitted = engine_.submitted();
    EXPECT_EQ(submitted.size(), 1u);
    return submitted.empty() ? absl::InfinitePast() : submitted.front().deadline;
  }
};

TEST_F(CallTimeTest, TheServersLimitHoldsWithoutADeadline) {
  GrpcServerOptions options;
  options.request_timeout = absl::Seconds(1000);
  Serve(options);
  const absl::Time before = MonotonicNow();
  grpc::ClientContext call;
  EXPECT_TRUE(Run(call, Prompt("a")).ok());
  EXPECT_GE(DeadlineOfTheOnlyRequest(), before + options.request_timeout);
  EXPECT_LE(DeadlineOfTheOnlyRequest(), MonotonicNow() + options.request_timeout);
}

TEST_F(CallTimeTest, AnEarlierDeadlineOfTheClientHolds) {
  GrpcServerOptions options;
  options.request_timeout = absl::Seconds(1000);
  Serve(options);
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(900)));
  EXPECT_TRUE(Run(call, Prompt("a")).ok());
  EXPECT_LE(DeadlineOfTheOnlyRequest(), MonotonicNow() + absl::Seconds(901));
}

TEST_F(CallTimeTest, ALaterDeadlineOfTheClientDoesNot) {
  GrpcServerOptions options;
  options.request_timeout = absl::Seconds(1000);
  Serve(options);
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(5000)));
  EXPECT_TRUE(Run(call, Prompt("a")).ok());
  EXPECT_LE(DeadlineOfTheOnlyRequest(), MonotonicNow() + options.request_timeout);
}

TEST_F(CallTimeTest, TheEndOfTheTimeIsDeadlineExceeded) {
  Serve({});
  engine_.SetFailure(absl::DeadlineExceededError("late"), 1);
  grpc::ClientContext call;
  EXPECT_EQ(Run(call, Prompt("a")).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

}  // namespace
}  // namespace intactkv::test
