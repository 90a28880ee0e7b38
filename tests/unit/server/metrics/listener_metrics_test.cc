// What the listeners add to a scrape, with and without an engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/metrics/metrics.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ListenerMetricsTest, EachListenerHasItsLabel) {
  const Metrics metrics([] { return std::nullopt; }, {.version = "1", .model_name = "m"},
                        [] { return std::vector<ListenerStats>{{"api", 3, 4}, {"admin", 1, 0}}; });
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("# TYPE intactkv_accept_failures_total counter"));
  EXPECT_THAT(text,
              HasSubstr("intactkv_accept_failures_total{listener=\"api\",model_name=\"m\"} 4"));
  EXPECT_THAT(text,
              HasSubstr("intactkv_accept_failures_total{listener=\"admin\",model_name=\"m\"} 0"));
  EXPECT_THAT(text, HasSubstr("intactkv_connections{listener=\"api\",model_name=\"m\"} 3"));
  EXPECT_THAT(text, HasSubstr("intactkv_ready{model_name=\"m\"} 0"));
}

TEST(ListenerMetricsTest, WithoutListenersThereIsNoFamily) {
  const Metrics metrics([] { return std::nullopt; }, {.version = "1", .model_name = "m"});
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("listener")));
}

}  // namespace
}  // namespace intactkv
