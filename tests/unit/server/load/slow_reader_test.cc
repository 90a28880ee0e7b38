// A reader of a complete answer must keep a minimum rate: always making a little progress is not
// enough.
#include <sys/socket.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "server/http/http_server.h"
#include "tests/unit/server/load/load_fixture.h"

namespace intactkv::test {
namespace {

constexpr size_t kBodyBytes = size_t{64} << 20;  // far more than the buffers of both kernels

class SlowReaderTest : public ::testing::Test {
 protected:
  void Serve(double bytes_per_second) {
    HttpServerOptions options;
    options.send_stall = absl::Milliseconds(500);
    options.min_send_bytes_per_second = bytes_per_second;
    Router router;
    router.Add("GET", "/large", [](const std::shared_ptr<Exchange>& exchange) {
      HttpResponse response;
      response.body = std::string(kBodyBytes, 'x');
      exchange->Respond(std::move(response));
    });
    server_ = std::make_unique<HttpServer>(options, std::move(router));
    ASSERT_TRUE(server_->Start().ok());
    client_ = std::make_unique<RawHttpClient>(server_->port());
    client_->Send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
  }
  // Reads a little at a time, pausing in between, to the end of the connection or of the body.
  size_t ReadSlowly() {
    std::vector<char> buffer(64 << 10);
    size_t total = 0;
    while (total < kBodyBytes) {
      const ssize_t n = ::recv(client_->fd(), buffer.data(), buffer.size(), 0);
      if (n <= 0) return total;
      total += static_cast<size_t>(n);
      absl::SleepFor(absl::Milliseconds(2));  // the reader's own pace, not a wait for anything
    }
    return total;
  }

  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<RawHttpClient> client_;
};

// 64 MiB in pieces of at most 64 KiB and 2 ms take at least 2 s; half a second is allowed.
TEST_F(SlowReaderTest, BelowTheRateItIsDroppedThoughItReadsOn) {
  Serve(1e12);
  EXPECT_LT(ReadSlowly(), kBodyBytes);
}

// The same reader, asked for less.
TEST_F(SlowReaderTest, AboveTheRateItGetsEverything) {
  Serve(1e5);
  EXPECT_GE(ReadSlowly(), kBodyBytes);
}

}  // namespace
}  // namespace intactkv::test
