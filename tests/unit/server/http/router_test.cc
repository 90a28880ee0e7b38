#include "server/http/router.h"

#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"

namespace intactkv {
namespace {

HttpRequest Request(std::string_view method, std::string_view path,
                    std::string_view content_type = "") {
  HttpRequest request;
  request.method = method;
  request.path = path;
  if (!content_type.empty()) {
    request.headers.push_back({"content-type", std::string(content_type)});
  }
  return request;
}

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() {
    const auto answer = [](std::string_view word) -> Handler {
      return [word](const std::shared_ptr<Exchange>& exchange) {
        HttpResponse response;
        response.body = word;
        exchange->Respond(std::move(response));
      };
    };
    router_.Add("GET", "/a", answer("get a"));
    router_.Add("POST", "/a", answer("post a"));
    router_.Add("POST", "/p", answer("post p"));
    router_.AddPrefix("GET", "/m/", answer("below m"));
    router_.Add("GET", "/m/exact/", answer("never: the prefix came first"));
  }
  HttpResponse Dispatch(HttpRequest request) {
    const auto exchange = std::make_shared<FakeExchange>(std::move(request));
    router_.Dispatch(exchange);
    EXPECT_EQ(exchange->num_answers, 1);
    return exchange->answer;
  }
  static std::string Allow(const HttpResponse& response) {
    for (const HttpHeader& header : response.headers) {
      if (header.name == "Allow") return header.value;
    }
    return "none";
  }
  Router router_;
};

TEST_F(RouterTest, PicksByMethodAndPath) {
  EXPECT_EQ(Dispatch(Request("GET", "/a")).body, "get a");
  EXPECT_EQ(Dispatch(Request("POST", "/a", "application/json")).body, "post a");
  EXPECT_EQ(Dispatch(Request("GET", "/m/x/y")).body, "below m");
  EXPECT_EQ(Dispatch(Request("GET", "/m/exact/")).body, "below m") << "in the order of adding";
}

TEST_F(RouterTest, HeadIsGetsBusiness) {
  EXPECT_EQ(Dispatch(Request("HEAD", "/a")).body, "get a");
  EXPECT_EQ(Dispatch(Request("HEAD", "/p")).status, 405);
}

TEST_F(RouterTest, UnknownPathsAre404WhateverTheMethod) {
  for (const char* path : {"/", "", "/A", "/a/", "//a", "/ab", "/m", "/m/", "/p/x", "/%61"}) {
    for (const char* method : {"GET", "POST", "BREW"}) {
      const HttpResponse response = Dispatch(Request(method, path, "application/json"));
      EXPECT_EQ(response.status, 404) << method << " " << path;
      EXPECT_NE(response.body.find("\"unknown_route\""), std::string::npos);
      EXPECT_EQ(Allow(response), "none");
    }
  }
}

TEST_F(RouterTest, KnownPathsWithAnotherMethodAre405WithAllow) {
  const struct {
    const char* method;
    const char* path;
    const char* allow;
  } rows[] = {{"PUT", "/a", "GET, HEAD, POST"},
              {"get", "/a", "GET, HEAD, POST"},
              {"GET", "/p", "POST"},
              {"OPTIONS", "/p", "POST"},
              {"DELETE", "/m/x", "GET, HEAD"},
              {"POST", "/m/x", "GET, HEAD"}};
  for (const auto& row : rows) {
    const HttpResponse response = Dispatch(Request(row.method, row.path, "application/json"));
    EXPECT_EQ(response.status, 405) << row.method << " " << row.path;
    EXPECT_NE(response.body.find("\"method_not_allowed\""), std::string::npos);
    EXPECT_EQ(Allow(response), row.allow);
  }
}

TEST_F(RouterTest, PostsMustSayThatTheyAreJson) {
  for (const char* type : {"application/json", "Application/JSON",
                           "application/json; charset=utf-8", "application/json ;x"}) {
    EXPECT_EQ(Dispatch(Request("POST", "/p", type)).body, "post p") << type;
  }
  for (const char* type :
       {"", "text/plain", "application/jsonp", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "text/plain; application/json"}) {
    const HttpResponse response = Dispatch(Request("POST", "/p", type));
    EXPECT_EQ(response.status, 415) << type;
    EXPECT_NE(response.body.find("\"unsupported_media_type\""), std::string::npos);
  }
  EXPECT_EQ(Dispatch(Request("GET", "/a", "text/plain")).status, 200) << "only posts have a body";
}

}  // namespace
}  // namespace intactkv
