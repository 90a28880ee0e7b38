// SIGTERM, and an answer that is generated but not read yet: its reader gets the drain's time, and
// a second signal ends it.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "tests/support/raw_http_client.h"
#include "tests/support/tiny_model.h"

namespace intactkv::test {
namespace {

// `intactkv serve` on a tiny model, as a process of its own.
class ServerProcess {
 public:
  ServerProcess() : model_(::testing::TempDir() + "drain_" + std::to_string(getpid()) + ".gguf") {
    WriteTinyModel(model_);
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::execl(INTACTKV_BINARY, INTACTKV_BINARY, "serve", "--model", model_.c_str(), "--model-name",
              "m", "--port", "0", "--admin-port", "0", "--grpc-port", "0", "--threads", "1",
              "--drain-timeout", "60", nullptr);
      std::_Exit(127);
    }
    ::close(ends[1]);
    out_ = ::fdopen(ends[0], "r");
  }
  ~ServerProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      (void)ExitCode();
    }
    std::fclose(out_);
    std::remove(model_.c_str());
  }
  // The rest of the first line from here on that begins with `words`; "" if the server ends.
  std::string AwaitLine(const std::string& words) {
    char line[4096];
    while (std::fgets(line, sizeof(line), out_) != nullptr) {
      if (std::string(line).starts_with(words)) return std::string(line).substr(words.size());
    }
    ADD_FAILURE() << "no line '" << words << "'";
    return "";
  }
  void Terminate() { ::kill(pid_, SIGTERM); }
  int ExitCode() {
    int status = -1;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  const std::string model_;
  pid_t pid_ = -1;
  std::FILE* out_ = nullptr;
};

class DrainReadersTest : public ::testing::Test {
 protected:
  DrainReadersTest() {
    const std::string port = server_.AwaitLine("listening http 127.0.0.1:");
    (void)server_.AwaitLine("ready");
    client_ = std::make_unique<RawHttpClient>(static_cast<uint16_t>(std::atoi(port.c_str())));
    const int small = 16 << 10;
    ::setsockopt(client_->fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    // Some seven megabytes: more than the kernel keeps for a reader that does not read.
    const std::string body =
        R"({"model":"m","messages":[{"role":"user","content":"a"}],"n":8,"max_tokens":800,)"
        R"("ignore_eos":true,"logprobs":true,"top_logprobs":20})";
    client_->Send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_TRUE(client_->WaitFor("HTTP/1.1 200"));  // so it is generated
    server_.Terminate();
    (void)server_.AwaitLine("draining");
  }
  ServerProcess server_;
  std::unique_ptr<RawHttpClient> client_;
};

TEST_F(DrainReadersTest, ASlowReaderGetsItsWholeAnswer) {
  absl::SleepFor(absl::Seconds(7));  // longer than the time that every reader gets in any case
  const RawAnswer answer = client_->Read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(std::to_string(answer.body.size()), answer.Header("Content-Length"));
  EXPECT_GT(answer.body.size(), size_t{6} << 20);
  client_.reset();
  EXPECT_EQ(server_.ExitCode(), 0);
}

TEST_F(DrainReadersTest, ASecondSignalDoesNotWaitForIt) {
  server_.Terminate();
  EXPECT_EQ(server_.ExitCode(), 0);
  EXPECT_EQ(client_->Read().status, 0) << "cut";
}

}  // namespace
}  // namespace intactkv::test
