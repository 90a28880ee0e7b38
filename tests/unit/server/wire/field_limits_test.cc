// Every limit of a request's fields on both its edges over REST, and the limits that only the
// engine can see: a full queue, a request's time, and a request that no pool of this size will ever
// hold.
#include "tests/unit/server/wire/field_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/openai/api_routes.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;

TEST(FieldLimitsTest, TheEdgePassesAndTheNextValueIsRefused) {
  WireServer server;
  const std::vector<FieldLimit> limits = FieldLimits();
  EXPECT_GE(limits.size(), 55u);
  for (const FieldLimit& limit : limits) {
    SCOPED_TRACE(limit.path + " " + limit.param + ": " + ToJson(limit.outside).substr(0, 200));
    RawHttpClient client(server.api_port());
    client.Send(PostRequest(limit.path, ToJson(limit.at_edge)));
    const RawAnswer passed = client.Read();
    if (limit.edge_code.empty()) {
      EXPECT_EQ(passed.status, 200) << passed.body;
    } else {
      EXPECT_THAT(passed.body, HasSubstr("\"code\":\"" + limit.edge_code + "\""));
      EXPECT_THAT(passed.body, Not(HasSubstr("\"param\":\"" + limit.param + "\",\"code\":\"" +
                                             limit.code + "\"")));
    }
    client.Send(PostRequest(limit.path, ToJson(limit.outside)));
    const RawAnswer refused = client.Read();
    EXPECT_EQ(refused.status, 400);
    EXPECT_THAT(refused.body,
                HasSubstr("\"param\":\"" + limit.param + "\",\"code\":\"" + limit.code + "\""));
    server.ExpectUnharmed(&client);
  }
}

// One request runs and waits at the gate; as many as the queue holds wait behind it; exactly one of
// those that come is refused, and all others are answered as ever.
TEST(QueueLimitTest, AFullQueueRefusesTheNextAndLosesNobody) {
  constexpr size_t kQueue = 5;
  WireServer server({"--max-queue", std::to_string(kQueue)});
  WireServer::Bystander running(server);
  std::vector<std::unique_ptr<RawHttpClient>> clients;
  std::vector<pollfd> answers;
  for (size_t i = 0; i < kQueue + 1; ++i) {
    clients.push_back(std::make_unique<RawHttpClient>(server.api_port()));
    clients.back()->Send(PostRequest("/v1/completions", WireServer::CanaryBody()));
    answers.push_back({.fd = clients.back()->fd(), .events = POLLIN, .revents = 0});
  }
  ASSERT_EQ(::poll(answers.data(), answers.size(), 60'000), 1);
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].revents == 0) continue;
    const RawAnswer refused = clients[i]->Read();
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.Header("Retry-After"), "1");
    EXPECT_THAT(refused.body, HasSubstr("\"code\":\"queue_full\""));
    EXPECT_THAT(refused.body, HasSubstr("\"type\":\"rate_limit_error\""));
    clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  ASSERT_EQ(clients.size(), kQueue);
  running.ExpectUnharmed();
  for (const auto& client : clients) server.ExpectCanary(client->Read());
  server.ExpectUnharmed();
}

// The routes again, on a listener whose requests are late when they arrive.
TEST(TimeLimitTest, ARequestThatTakesTooLongIsEnded) {
  WireServer server;
  ApiOptions options;
  options.request_timeout = absl::ZeroDuration();
  options.log_requests = false;
  Router router;
  AddApiRoutes(router, server.context(), options);
  HttpServer listener(HttpServerOptions{}, std::move(router));
  ASSERT_TRUE(listener.Start().ok());
  for (const char* stream : {"false", "true"}) {
    WireServer::Bystander bystander(server);
    RawHttpClient client(listener.port());
    std::string body = WireServer::CanaryBody();
    body.insert(body.size() - 1, std::string(",\"stream\":") + stream);
    client.Send(PostRequest("/v1/completions", body));
    bystander.ExpectUnharmed();
    const RawAnswer refused = client.Read();
    EXPECT_EQ(refused.status, 504);
    EXPECT_EQ(refused.Header("x-should-retry"), "false");
    EXPECT_THAT(refused.body, HasSubstr("\"type\":\"server_error\""));
    EXPECT_THAT(refused.body, HasSubstr("\"code\":\"deadline_exceeded\""));
    server.ExpectUnharmed();
  }
}

// 3 pages: the canary fits, 97 tokens do not. Only the engine knows, so the refusal comes from
// there.
TEST(PoolLimitTest, ARequestThatCanNeverFitIsRefusedByName) {
  WireServer probe;
  WireServer server({"--kv-pool-bytes", std::to_string(3 * probe.stored_page_bytes())});
  const auto ids = [](size_t prompt, size_t answer) {
    return ToJson({{"model", "\"tiny\""},
                   {"prompt", "[3" + Repeat(",3", prompt - 1) + "]"},
                   {"max_tokens", std::to_string(answer)},
                   {"ignore_eos", "true"}});
  };
  for (const std::string stream : {"false", "true"}) {
    RawHttpClient client(server.api_port());
    const auto post = [&](std::string body) {
      body.insert(body.size() - 1, ",\"stream\":" + stream);
      client.Send(PostRequest("/v1/completions", body));
      return client.Read();
    };
    EXPECT_EQ(post(ids(95, 1)).status, 200);
    for (const auto& [prompt, answer] : {std::pair<size_t, size_t>{120, 1}, {60, 60}}) {
      const RawAnswer refused = post(ids(prompt, answer));
      EXPECT_EQ(refused.status, 400);
      EXPECT_THAT(refused.body,
                  HasSubstr("\"param\":\"prompt\",\"code\":\"context_length_exceeded\""));
      EXPECT_THAT(refused.body, HasSubstr("Shorten 'prompt' or give a lower 'max_tokens'."));
    }
    server.ExpectUnharmed(&client);
  }
}

}  // namespace
}  // namespace intactkv::test
