#include "server/openai/api_routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <set>

#include "tests/support/fake_engine.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

namespace json = boost::json;
using Routes = std::set<std::string>;

ApiOptions Options(bool metrics_on_api) {
  ApiOptions options;
  options.version = "1.2.3";
  options.metrics_on_api = metrics_on_api;
  options.render_metrics = [] { return std::string("metrics 1\n"); };
  return options;
}

Routes RoutesOf(const Router& router) {
  Routes routes;
  for (const Router::Route& route : router.routes()) routes.insert(route.method + " " + route.path);
  return routes;
}

class ApiRoutesTest : public ::testing::Test {
 protected:
  ApiRoutesTest() {
    AddApiRoutes(api_, context_, Options(true));
    AddAdminRoutes(admin_, context_, Options(false));
  }
  void Publish() {
    context_.Publish({.engine = &engine_,
                      .codec = &codec_,
                      .model = {.name = "org/m 1",
                                .max_model_len = 100,
                                .vocab_size = kFakeVocabSize,
                                .created_unix_seconds = 77}});
  }
  static HttpResponse Get(const Router& router, std::string_view path) {
    const auto exchange = FakeExchange::Get(path);
    router.Dispatch(exchange);
    EXPECT_EQ(exchange->num_answers, 1) << path;
    return exchange->answer;
  }

  FakeEngine engine_;
  FakeTextCodec codec_;
  ServerContext context_;
  Router api_;
  Router admin_;
};

TEST_F(ApiRoutesTest, TheTwoListenersAnswerTheirOwnPaths) {
  const Routes api = {"POST /v1/chat/completions",
                      "POST /v1/completions",
                      "POST /tokenize",
                      "POST /detokenize",
                      "GET /v1/models",
                      "GET /v1/models/",
                      "GET /health",
                      "GET /version",
                      "GET /metrics"};
  EXPECT_EQ(RoutesOf(api_), api);
  const Routes admin = {"GET /livez",          "GET /readyz",  "GET /health",
                        "GET /admin/kv/audit", "GET /version", "GET /metrics"};
  EXPECT_EQ(RoutesOf(admin_), admin);
}

TEST_F(ApiRoutesTest, MetricsCanBeKeptOffTheApiListener) {
  Router router;
  AddApiRoutes(router, context_, Options(false));
  EXPECT_EQ(Get(router, "/metrics").status, 404);
  for (const Router* with : {&api_, &admin_}) {
    const HttpResponse response = Get(*with, "/metrics");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "metrics 1\n");
    EXPECT_EQ(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
  }
}

TEST_F(ApiRoutesTest, HealthFollowsTheStateAndLivezDoesNot) {
  const auto expect = [&](int status, const char* word) {
    for (const auto& [router, path] : {std::pair(&api_, "/health"), std::pair(&admin_, "/health"),
                                       std::pair(&admin_, "/readyz")}) {
      const HttpResponse response = Get(*router, path);
      EXPECT_EQ(response.status, status) << path;
      EXPECT_NE(response.body.find(word), std::string::npos) << response.body;
    }
    EXPECT_EQ(Get(admin_, "/livez").status, 200);
  };
  expect(503, "loading");
  Publish();
  expect(200, "ok");
  context_.BeginDrain();
  expect(503, "draining");
}

TEST_F(ApiRoutesTest, Models) {
  EXPECT_EQ(Get(api_, "/v1/models").status, 503);
  EXPECT_EQ(Get(api_, "/v1/models/x").status, 503);
  Publish();
  const json::value model = json::parse(
      R"({"id":"org/m 1","object":"model","created":77,"owned_by":"intactkv","root":"org/m 1",
          "parent":null,"max_model_len":100})");
  const HttpResponse list = Get(api_, "/v1/models");
  EXPECT_EQ(list.status, 200);
  EXPECT_EQ(json::parse(list.body).at("object"), "list");
  EXPECT_EQ(json::parse(list.body).at("data"), json::array({model}));
  for (const char* path : {"/v1/models/org/m%201", "/v1/models/org%2Fm%201",
                           "/v1/models/org%2fm%201", "/v1/models/%6frg/m%201"}) {
    const HttpResponse response = Get(api_, path);
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_EQ(json::parse(response.body), model);
  }
  for (const char* path : {"/v1/models/other", "/v1/models/org/m+1", "/v1/models/org/m%2",
                           "/v1/models/org/m%", "/v1/models/org/m%zz1", "/v1/models/%00"}) {
    const HttpResponse response = Get(api_, path);
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(json::parse(response.body).at("error").at("code"), "model_not_found") << path;
  }
  EXPECT_EQ(json::parse(Get(api_, "/v1/models/").body).at("error").at("code"), "unknown_route");
}

TEST_F(ApiRoutesTest, VersionIsThereWhileLoading) {
  for (const Router* router : {&api_, &admin_}) {
    const HttpResponse response = Get(*router, "/version");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(json::parse(response.body), json::parse(R"({"version":"1.2.3"})"));
  }
}

TEST_F(ApiRoutesTest, AuditShowsEveryClass) {
  EXPECT_EQ(Get(admin_, "/admin/kv/audit").status, 503);
  Publish();
  const HttpResponse response = Get(admin_, "/admin/kv/audit");
  EXPECT_EQ(response.status, 200);
  const std::string none =
      R"({"total":0,"free":0,"owned":0,"cached":0,"pinned":0,"unaccounted":0})";
  EXPECT_EQ(json::parse(response.body),
            json::parse(R"({"pages":{"pinned":)" + none +
                        R"(,"stored":{"total":8,"free":5,"owned":2,"cached":1,"pinned":0,
                           "unaccounted":0},"hot":)" +
                        none + R"(},"problems":[],"ledger":{},"recent":[]})"));
}

}  // namespace
}  // namespace intactkv
