// An Exchange without a socket: holds the request, records the answer, and is its own executor,
// turned by the test's thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/http/exchange.h"

namespace intactkv {

// Thread-compatible; only what Poster() returns may be called on any thread. Must outlive whoever
// holds such a function.
class FakeExchange : public Exchange {
 public:
  explicit FakeExchange(HttpRequest request) : request_(std::move(request)) {}
  static std::shared_ptr<FakeExchange> Post(std::string_view path, std::string body) {
    HttpRequest request;
    request.method = "POST";
    request.path = path;
    request.headers = {{"Content-Type", "application/json"}};
    request.body = std::move(body);
    request.request_id = "req-1";
    return std::make_shared<FakeExchange>(std::move(request));
  }
  static std::shared_ptr<FakeExchange> Get(std::string_view path) {
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    return std::make_shared<FakeExchange>(std::move(request));
  }

  const HttpRequest& request() const override { return request_; }
  void DropBody() override { request_.body.clear(); }
  void Respond(HttpResponse response) override {
    ++num_answers;
    answer = std::move(response);
    Complete();
  }
  void BeginStream(std::string_view content_type, std::vector<HttpHeader> headers) override {
    ++num_answers;
    answer.content_type = content_type;
    answer.headers = std::move(headers);
  }
  void Write(std::string_view bytes) override { writes.emplace_back(bytes); }
  bool CanWrite() const override { return writable; }
  void EndStream() override {
    stream_ended = true;
    Complete();
  }
  void SetOnWritable(std::function<void()> callback) override {
    on_writable_ = std::move(callback);
  }
  void SetOnAbort(std::function<void()> callback) override { on_abort_ = std::move(callback); }
  std::function<void(std::function<void()>)> Poster() const override {
    return [this](std::function<void()> task) {
      const std::lock_guard<std::mutex> lock(mutex_);
      tasks_.push_back(std::move(task));
      task_came_.notify_one();
    };
  }

  // Waits for the next posted closure and runs it.
  void RunOne() {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      task_came_.wait(lock, [this] { return !tasks_.empty(); });
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
  void RunUntilComplete() {
    while (!complete_) RunOne();
  }
  // The client leaves.
  void Abort() {
    if (auto callback = std::exchange(on_abort_, nullptr)) callback();
    Complete();
  }
  // The kernel has taken what was written.
  void BecomeWritable() {
    writable = true;
    const auto callback = on_writable_;
    if (callback) callback();
  }
  bool complete() const { return complete_; }

  HttpResponse answer;
  int num_answers = 0;
  std::vector<std::string> writes;
  bool stream_ended = false;
  bool writable = true;

 private:
  void Complete() {
    complete_ = true;
    // Like a connection's: they may hold the last reference to whoever is calling us.
    const auto writable_callback = std::exchange(on_writable_, nullptr);
    const auto abort_callback = std::exchange(on_abort_, nullptr);
  }

  HttpRequest request_;
  std::function<void()> on_writable_;
  std::function<void()> on_abort_;
  bool complete_ = false;
  mutable std::mutex mutex_;
  mutable std::condition_variable task_came_;
  mutable std::deque<std::function<void()>> tasks_;
};

}  // namespace intactkv
