// The listener's limits of time and number: slow heads and bodies, idle connections, readers that
// do not read, too many connections, no descriptors left. Each on both sides, and the next client
// is served. The times are short here; what is asserted is which limit ends a connection, not when.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "server/http/http_server.h"
#include "server/http/router.h"
#include "tests/support/raw_http_client.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;

constexpr char kGet[] = "GET /ok HTTP/1.1\r\nHost: test\r\n\r\n";

// A stream that never ends, written as fast as the connection takes it.
struct Endless {
  std::mutex mutex;
  std::condition_variable changed;
  bool aborted = false;
  size_t largest_burst = 0;  // bytes written without the connection saying that it has room again
};

constexpr size_t kPiece = 1000;

void WriteBurst(Exchange& exchange, Endless& endless) {
  size_t burst = 0;
  for (; exchange.CanWrite(); burst += kPiece) exchange.Write(std::string(kPiece, 'x'));
  const std::lock_guard lock(endless.mutex);
  endless.largest_burst = std::max(endless.largest_burst, burst);
}

class ListenerTest : public ::testing::Test {
 protected:
  void Start(const HttpServerOptions& options) {
    const Handler answer = [](const std::shared_ptr<Exchange>& exchange) {
      HttpResponse response;
      response.body = "got " + std::to_string(exchange->request().body.size());
      exchange->Respond(std::move(response));
    };
    Router router;
    router.Add("GET", "/ok", answer);
    router.Add("POST", "/body", answer);
    router.Add("GET", "/endless", [this](const std::shared_ptr<Exchange>& exchange) {
      exchange->BeginStream("text/plain", {});
      exchange->SetOnWritable([this, exchange] { WriteBurst(*exchange, endless_); });
      exchange->SetOnAbort([this, exchange] {
        const std::lock_guard lock(endless_.mutex);
        endless_.aborted = true;
        endless_.changed.notify_all();
      });
      WriteBurst(*exchange, endless_);
    });
    server_ = std::make_unique<HttpServer>(options, std::move(router));
    ASSERT_TRUE(server_->Start().ok());
  }
  uint16_t port() const { return server_->port(); }

  void ExpectServed() {
    RawHttpClient client(port());
    client.Send(kGet);
    EXPECT_EQ(client.Read().status, 200);
  }
  // What has come by now, and what comes until the end, is one answer with this status.
  void ExpectTimeout(RawHttpClient& client) {
    const RawAnswer answer = client.Read();
    EXPECT_EQ(answer.status, 408);
    EXPECT_EQ(answer.Header("Connection"), "close");
    EXPECT_THAT(answer.body, HasSubstr("\"code\":\"request_timeout\""));
    client.FinishSending();
    EXPECT_TRUE(client.AtEnd());
  }
  // One byte each few milliseconds, for as long as the server says nothing.
  void Trickle(RawHttpClient& client, char byte) {
    pollfd waiting{.fd = client.fd(), .events = POLLIN, .revents = 0};
    for (int i = 0; i < 3000 && ::poll(&waiting, 1, 3) == 0; ++i) {
      client.Send(std::string(1, byte));
    }
  }
  void AwaitConnections(size_t count) {
    while (server_->num_connections() != count) std::this_thread::yield();
  }

  Endless endless_;
  std::unique_ptr<HttpServer> server_;
};

std::string Head(size_t content_length) {
  return "POST /body HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(content_length) + "\r\n\r\n";
}

TEST_F(ListenerTest, AHeadThatTakesTooLong) {
  HttpServerOptions options;
  options.head_deadline = absl::Milliseconds(50);
  Start(options);
  RawHttpClient stuck(port());
  stuck.Send("GET /ok HTTP/1.1\r\nHost:");
  ExpectTimeout(stuck);
  RawHttpClient slow(port());  // each byte is progress, and still the deadline is the head's
  slow.Send("GET /");
  Trickle(slow, 'x');
  ExpectTimeout(slow);
  RawHttpClient second(port());  // nor does an earlier request give the next one more time
  second.Send(kGet + std::string("GET /ok"));
  EXPECT_EQ(second.Read().status, 200);
  ExpectTimeout(second);
  ExpectServed();
}

TEST_F(ListenerTest, ABodyThatTakesTooLong) {
  HttpServerOptions options;
  options.body_deadline = absl::Milliseconds(50);
  Start(options);
  RawHttpClient stuck(port());
  stuck.Send(Head(1000) + "{");
  ExpectTimeout(stuck);
  RawHttpClient slow(port());
  slow.Send(Head(100'000));
  Trickle(slow, 'x');
  ExpectTimeout(slow);
  RawHttpClient chunked(port());
  chunked.Send(
      "POST /body HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\nabc");
  ExpectTimeout(chunked);
  RawHttpClient whole(port());
  whole.Send(Head(3) + "abc");
  EXPECT_EQ(whole.Read().body, "got 3");
}

TEST_F(ListenerTest, ABodyBelowTheMinimumRate) {
  HttpServerOptions options;
  options.min_rate_grace = absl::Milliseconds(50);
  options.min_bytes_per_second = 1e9;
  Start(options);
  RawHttpClient slow(port());
  slow.Send(Head(1'000'000) + std::string(500'000, 'x'));
  ExpectTimeout(slow);
  RawHttpClient whole(port());  // in one piece with its head: nothing is waited for
  whole.Send(Head(3) + "abc");
  EXPECT_EQ(whole.Read().body, "got 3");
}

TEST_F(ListenerTest, AnIdleConnectionIsClosedWithoutAWord) {
  HttpServerOptions options;
  options.keep_alive_idle = absl::Seconds(1);
  Start(options);
  RawHttpClient served(port());
  served.Send(kGet);
  RawHttpClient silent(port());
  EXPECT_EQ(served.Read().status, 200);
  EXPECT_TRUE(silent.AtEnd());
  EXPECT_TRUE(served.AtEnd());
  AwaitConnections(0);
  ExpectServed();
}

TEST_F(ListenerTest, AReaderThatStopsReading) {
  HttpServerOptions options;
  options.send_stall = absl::Milliseconds(100);
  Start(options);
  RawHttpClient client(port());
  client.Send("GET /endless HTTP/1.1\r\nHost: test\r\n\r\n");
  {
    std::unique_lock lock(endless_.mutex);
    endless_.changed.wait(lock, [this] { return endless_.aborted; });
    EXPECT_GE(endless_.largest_burst, options.send_buffer_bytes - kPiece);
    EXPECT_LE(endless_.largest_burst, options.send_buffer_bytes + kPiece);
  }
  AwaitConnections(0);
  ExpectServed();
}

// Accepted clients stay; the one too many is told so; when one leaves another may come.
TEST_F(ListenerTest, TooManyConnections) {
  HttpServerOptions options;
  options.max_connections = 3;
  Start(options);
  std::vector<std::unique_ptr<RawHttpClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<RawHttpClient>(port()));
    clients.back()->Send(kGet);
    EXPECT_EQ(clients.back()->Read().status, 200);
  }
  RawHttpClient late(port(), "127.0.0.2");
  const RawAnswer refused = late.Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.Header("Retry-After"), "1");
  EXPECT_EQ(refused.Header("Connection"), "close");
  EXPECT_THAT(refused.body, HasSubstr("\"code\":\"too_many_connections\""));
  EXPECT_TRUE(late.AtEnd());
  for (const auto& client : clients) {
    client->Send(kGet);
    EXPECT_EQ(client->Read().status, 200);
  }
  clients.pop_back();
  AwaitConnections(2);
  ExpectServed();
}

TEST_F(ListenerTest, TooManyConnectionsFromOneSource) {
  HttpServerOptions options;
  options.max_connections_per_source = 2;
  Start(options);
  std::vector<std::unique_ptr<RawHttpClient>> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(std::make_unique<RawHttpClient>(port()));
    clients.back()->Send(kGet);
    EXPECT_EQ(clients.back()->Read().status, 200);
  }
  RawHttpClient late(port());
  EXPECT_EQ(late.Read().status, 503);
  EXPECT_TRUE(late.AtEnd());
  RawHttpClient other(port(), "127.0.0.2");
  other.Send(kGet);
  EXPECT_EQ(other.Read().status, 200);
  clients.pop_back();
  AwaitConnections(2);
  ExpectServed();
}

// Takes every descriptor that the process may still open.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = std::min<rlim_t>(before_.rlim_cur, 256);
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) {
      taken_.push_back(fd);
    }
  }
  ~NoDescriptors() {
    for (const int fd : taken_) ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  void FreeOne() {
    ::close(taken_.back());
    taken_.pop_back();
  }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

TEST_F(ListenerTest, WithoutDescriptorsTheListenerWaitsAndGoesOn) {
  HttpServerOptions options;
  options.accept_backoff = absl::Milliseconds(5);
  Start(options);
  ExpectServed();
  AwaitConnections(0);
  std::optional<NoDescriptors> starved(std::in_place);
  starved->FreeOne();  // for the client's end; there is none left for the server's
  RawHttpClient client(port());
  client.Send(kGet);
  while (server_->accept_failures() < 2) std::this_thread::yield();
  EXPECT_EQ(server_->num_connections(), 0u);
  starved.reset();
  EXPECT_EQ(client.Read().status, 200) << "who waited is served";
  ExpectServed();
}

}  // namespace
}  // namespace intactkv::test
