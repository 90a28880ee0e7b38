// A listener with the real API routes over a scripted engine, and requests for it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/http/http_server.h"
#include "server/openai/api_routes.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_text_codec.h"
#include "tests/support/raw_http_client.h"

namespace intactkv::test {

// Main thread only.
class LimitsFixture : public ::testing::Test {
 protected:
  static constexpr int kContext = 100;

  void Serve(HttpServerOptions options) {
    context_.Publish(
        {.engine = &engine_,
         .codec = &codec_,
         .model = {.name = "m", .max_model_len = kContext, .vocab_size = kFakeVocabSize}});
    ApiOptions api;
    api.log_requests = false;
    Router router;
    AddApiRoutes(router, context_, api);
    server_ = std::make_unique<HttpServer>(options, std::move(router));
    ASSERT_TRUE(server_->Start().ok());
  }
  uint16_t port() const { return server_->port(); }

  static std::string Head(const std::string& path, const std::string& more) {
    return "POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n" + more +
           "\r\n";
  }
  static std::string Post(const std::string& path, const std::string& body) {
    return Head(path, "Content-Length: " + std::to_string(body.size()) + "\r\n") + body;
  }

  FakeTextCodec codec_;
  ServerContext context_;
  std::unique_ptr<HttpServer> server_;
  FakeEngine engine_;  // posts to the server's connections
};

}  // namespace intactkv::test
