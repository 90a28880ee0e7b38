// A gRPC listener over a scripted engine, and calls of it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "intactkv/v1/intactkv.grpc.pb.h"
#include "server/grpc/grpc_server.h"
#include "server/request/encode_pool.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv::test {

// One thread that runs closures in order, as an I/O thread does, and can be held. Thread-safe.
class PostThread {
 public:
  PostThread() : thread_([this] { Loop(); }) {}
  ~PostThread() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
      held_ = false;
      changed_.notify_all();
    }
    thread_.join();
  }
  // What is posted waits until it is released.
  void Hold(bool held) {
    const std::lock_guard<std::mutex> lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  PostFn Post() {
    return [this](std::function<void()> work) {
      const std::lock_guard<std::mutex> lock(mutex_);
      work_.push_back(std::move(work));
      changed_.notify_all();
    };
  }

 private:
  void Loop() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stop_ || (!held_ && !work_.empty()); });
      if (work_.empty()) return;
      std::function<void()> work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
  bool stop_ = false;
  bool held_ = false;
  std::thread thread_;
};

// Main thread only.
class CallFixture : public ::testing::Test {
 protected:
  static constexpr int kContext = 100'000;

  ~CallFixture() override {
    if (server_ != nullptr) server_->Stop(absl::Now());
    encoder_.Stop();
  }
  void Serve(const GrpcServerOptions& options) {
    context_.Publish({&engine_, &codec_, {"m", kContext, kFakeVocabSize, 1, 1}, &encoder_});
    auto server = GrpcServer::Start(options, &context_, [this] { return posts_.Post(); });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    const bool is_v6 = options.host.find(':') != std::string::npos;
    const std::string host = is_v6 ? "[" + options.host + "]" : options.host;
    stub_ = v1::IntactKV::NewStub(grpc::CreateChannel(host + ":" + std::to_string(server_->port()),
                                                      grpc::InsecureChannelCredentials()));
  }
  static v1::GenerateRequest Prompt(const std::string& prompt) {
    v1::GenerateRequest request;
    request.set_prompt(prompt);
    return request;
  }
  // Reads to the end.
  grpc::Status Run(grpc::ClientContext& call, const v1::GenerateRequest& request) {
    const auto reader = stub_->Generate(&call, request);
    for (v1::GenerateResponse response; reader->Read(&response);) text_ += response.text();
    return reader->Finish();
  }
  // A client that leaves has its status at once; this waits for the server to have heard of it.
  void WaitForCallsAtMost(int64_t count) const {
    while (server_->num_calls() > count) std::this_thread::yield();
  }

  FakeTextCodec codec_;
  ServerContext context_;
  PostThread posts_;
  EncodePool encoder_{1, 8};
  std::unique_ptr<GrpcServer> server_;
  std::unique_ptr<v1::IntactKV::Stub> stub_;
  std::string text_;
  FakeEngine engine_;
};

}  // namespace intactkv::test
