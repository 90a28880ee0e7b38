// What the probes say of an engine that hangs: first no more requests, then a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/openai/api_routes.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;

class ProbeTest : public ::testing::Test {
 protected:
  ProbeTest() {
    context_.Publish({.engine = &engine_, .codec = &codec_, .model = {.name = "m"}});
    AddAdminRoutes(admin_, context_, {});
    AddApiRoutes(api_, context_, {});
  }
  int Status(const Router& router, const char* path) {
    const auto exchange = FakeExchange::Get(path);
    router.Dispatch(exchange);
    if (exchange->answer.status != 200) {
      EXPECT_EQ(exchange->answer.status, 503);
      EXPECT_THAT(exchange->answer.body, HasSubstr("engine_stalled"));
    }
    return exchange->answer.status;
  }

  FakeEngine engine_;
  FakeTextCodec codec_;
  ServerContext context_;
  Router admin_, api_;
};

TEST_F(ProbeTest, BothEdgesOfBothLimits) {
  const absl::Duration more = absl::Nanoseconds(1);
  const struct {
    absl::Duration age;
    int ready, live;
  } cases[] = {{absl::ZeroDuration(), 200, 200},      {absl::Seconds(30), 200, 200},
               {absl::Seconds(30) + more, 503, 200},  {absl::Seconds(120), 503, 200},
               {absl::Seconds(120) + more, 503, 503}, {absl::Hours(5), 503, 503},
               {absl::Milliseconds(200), 200, 200}};
  for (const auto& [age, ready, live] : cases) {
    engine_.SetStepAge(age);
    EXPECT_EQ(Status(admin_, "/readyz"), ready) << age;
    EXPECT_EQ(Status(admin_, "/health"), ready) << age;
    EXPECT_EQ(Status(api_, "/health"), ready) << age;
    EXPECT_EQ(Status(admin_, "/livez"), live) << age;
  }
}

}  // namespace
}  // namespace intactkv
