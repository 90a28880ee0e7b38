// The log against a stderr that nobody reads.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/json_log.h"
#include "engine/base/line_writer.h"

namespace intactkv {
namespace {

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    CloseWriter();
  }
  int writer() const { return ends_[1]; }
  void CloseWriter() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  // The next line without its newline; waits for it.
  std::string ReadLine() {
    size_t end = 0;
    while ((end = buffer_.find('\n')) == std::string::npos) {
      char bytes[4'096];
      const ssize_t got = ::read(ends_[0], bytes, sizeof(bytes));
      if (got <= 0) {
        ADD_FAILURE() << "the pipe ended";
        return {};
      }
      buffer_.append(bytes, static_cast<size_t>(got));
    }
    const std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    return line;
  }
  // Until it takes no byte more.
  void Fill() {
    ASSERT_EQ(::fcntl(ends_[1], F_SETFL, O_NONBLOCK), 0);
    while (::write(ends_[1], ".", 1) == 1) {
    }
    ASSERT_EQ(::fcntl(ends_[1], F_SETFL, 0), 0);
  }

 private:
  int ends_[2];
  std::string buffer_;
};

// While it lives, `fd` is this process's stderr.
class StderrIs {
 public:
  explicit StderrIs(int fd) : saved_(::dup(STDERR_FILENO)) { ::dup2(fd, STDERR_FILENO); }
  ~StderrIs() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
  }

 private:
  const int saved_;
};

std::string Lost(int64_t count) { return "lost " + std::to_string(count) + "\n"; }

TEST(LineWriterTest, KeepsOrderAndLinesWhole) {
  Pipe pipe;
  LineWriter writer(pipe.writer(), 1 << 20, Lost);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string text(500, static_cast<char>('a' + t));
      for (int i = 0; i < 100; ++i) writer.Write(std::to_string(i) + text + "\n");
    });
  }
  int next[4] = {};
  for (int i = 0; i < 400; ++i) {
    const std::string line = pipe.ReadLine();
    const auto t = static_cast<size_t>(line.back() - 'a');
    ASSERT_LT(t, 4u);
    EXPECT_EQ(line, std::to_string(next[t]++) + std::string(500, line.back()));
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(writer.Flush(absl::InfiniteDuration()));
}

TEST(LineWriterTest, NobodyReadsAndNobodyWaits) {
  Pipe pipe;
  LineWriter writer(pipe.writer(), 10'000, Lost);
  const std::string line(999, 'x');
  constexpr int kLines = 1'000;  // a megabyte: neither the pipe nor the queue holds it
  for (int i = 0; i < kLines; ++i) writer.Write(line + "\n");
  EXPECT_FALSE(writer.Flush(absl::ZeroDuration()));
  int whole = 0;
  int64_t lost = 0;
  while (whole + lost < kLines) {
    const std::string got = pipe.ReadLine();
    if (got == line) {
      ++whole;
    } else {
      ASSERT_EQ(got.rfind("lost ", 0), 0u) << got;
      lost += std::stoll(got.substr(5));
    }
  }
  EXPECT_EQ(whole + lost, kLines);
  EXPECT_GT(lost, 0);
  EXPECT_GT(whole, 0);
  writer.Write("later\n");
  EXPECT_EQ(pipe.ReadLine(), "later") << "it recovers";
}

TEST(LineWriterTest, EndsThoughNobodyReads) {
  Pipe pipe;
  pipe.Fill();
  LineWriter writer(pipe.writer(), 10'000, Lost);
  writer.Write("never read\n");
}

TEST(LogLineTest, AFullStderrStopsNobody) {
  Pipe pipe;
  constexpr int kLines = 4'000;
  const std::string text(1'000, 'x');  // 4 MB: more than pipe and queue take
  std::optional<StderrIs> redirected(pipe.writer());
  for (int i = 0; i < kLines; ++i) LogLine("info", "test").Add("text", text);
  int whole = 0;
  int64_t lost = 0;
  while (whole + lost < kLines) {
    const std::string line = pipe.ReadLine();
    ASSERT_EQ(line.rfind("{\"time\":\"", 0), 0u) << line;
    ASSERT_EQ(line.back(), '}') << line;
    const size_t count = line.find("\"event\":\"log_lines_dropped\",\"count\":");
    if (count == std::string::npos) {
      ASSERT_NE(line.find(text), std::string::npos) << line;
      ++whole;
    } else {
      lost += std::stoll(line.substr(line.rfind(':') + 1));
    }
  }
  EXPECT_TRUE(FlushLog(absl::InfiniteDuration()));
  redirected.reset();
  EXPECT_EQ(whole + lost, kLines);
  EXPECT_GT(lost, 0);
}

TEST(LogLineDeathTest, WhatLedToABrokenCheckIsWrittenFirst) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        LogLine("info", "last_words");
        CHECK(1 > 2) << "end";
      },
      "last_words(.|\n)*CHECK failed: 1 > 2 end");
}

TEST(LogLineDeathTest, ABrokenCheckEndsTheProcessThoughStderrIsFull) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Pipe pipe;
        pipe.Fill();
        ::dup2(pipe.writer(), STDERR_FILENO);
        CHECK(false);
      },
      "");
}

TEST(LogLineDeathTest, LinesAreWrittenAtExit) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        for (int i = 0; i < 1'000; ++i) LogLine("info", "line").Add("number", i);
        std::exit(0);
      },
      testing::ExitedWithCode(0), "\"number\":0}(.|\n)*\"number\":999}");
}

}  // namespace
}  // namespace intactkv
