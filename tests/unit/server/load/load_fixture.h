// A listener with the real API routes over a scripted engine and a codec that can be held, and
// requests for it.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/http/http_server.h"
#include "server/openai/api_routes.h"
#include "server/request/encode_pool.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_text_codec.h"
#include "tests/support/raw_http_client.h"

namespace intactkv::test {

// Counts what is encoded, and holds it while it is told to. Thread-safe.
class HeldCodec : public FakeTextCodec {
 public:
  void Hold() { SetHeld(true); }
  void Release() { SetHeld(false); }
  // Until so many have begun since the start.
  void AwaitBegun(int count) const {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return begun_ >= count; });
  }
  int begun() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return begun_;
  }
  absl::StatusOr<std::vector<TokenId>> Encode(std::string_view text) const override {
    std::unique_lock<std::mutex> lock(mutex_);
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    return FakeTextCodec::Encode(text);
  }

 private:
  void SetHeld(bool held) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable int begun_ = 0;
  bool held_ = false;
};

// Main thread only.
class LoadFixture : public ::testing::Test {
 protected:
  static constexpr int kContext = 100;
  static constexpr int kEncodeThreads = 2;
  static constexpr int kEncodesWaiting = 3;

  ~LoadFixture() override {
    codec_.Release();
    if (server_ != nullptr) server_->Stop(absl::InfinitePast());
    encoder_.Stop();
  }

  void Serve(HttpServerOptions options) {
    // FakeTextCodec's tokens are bytes.
    context_.Publish({&engine_, &codec_, {"m", kContext, kFakeVocabSize, 1, 1}, &encoder_});
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
  static std::string Completion(const std::string& prompt, const std::string& more = "") {
    return Post("/v1/completions", R"({"model":"m","prompt":")" + prompt + "\"" + more + "}");
  }
  static std::string Get(const std::string& path) {
    return "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n";
  }

  HeldCodec codec_;
  ServerContext context_;
  std::unique_ptr<HttpServer> server_;
  EncodePool encoder_{kEncodeThreads, kEncodesWaiting};
  FakeEngine engine_;  // posts to the server's connections
};

}  // namespace intactkv::test
