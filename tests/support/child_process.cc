#include "tests/support/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "engine/base/check.h"

extern char** environ;

namespace intactkv::test {
namespace {

std::vector<char*> CleanEnvironment() {
  std::vector<char*> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("INTACTKV_")) kept.push_back(*entry);
  }
  kept.push_back(nullptr);
  return kept;
}

bool ReadSome(int fd, std::string& out) {
  char bytes[4096];
  const ssize_t n = ::read(fd, bytes, sizeof(bytes));
  if (n > 0) out.append(bytes, static_cast<size_t>(n));
  return n > 0;
}

}  // namespace

ChildProcess::ChildProcess(std::vector<std::string> args, int max_open_files) {
  int out[2], err[2];
  CHECK_EQ(::pipe2(out, O_CLOEXEC), 0);
  CHECK_EQ(::pipe2(err, O_CLOEXEC), 0);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  std::vector<char*> environment = CleanEnvironment();
  pid_ = ::fork();
  CHECK_GE(pid_, 0);
  if (pid_ == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    if (max_open_files > 0) {
      const rlimit limit{static_cast<rlim_t>(max_open_files), static_cast<rlim_t>(max_open_files)};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ::execve(argv[0], argv.data(), environment.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_fd_ = out[0];
  err_fd_ = err[0];
}

ChildProcess::~ChildProcess() {
  if (!ended_) {
    Signal(SIGKILL);
    Wait();
  }
  ::close(out_fd_);
  ::close(err_fd_);
}

std::string ChildProcess::AwaitLine(std::string_view prefix) {
  size_t begin = 0;
  while (true) {
    const size_t end = out_.find('\n', begin);
    if (end == std::string::npos) {
      if (!ReadSome(out_fd_, out_)) return "";
      continue;
    }
    const std::string line = out_.substr(begin, end - begin);
    if (line.starts_with(prefix)) return line;
    begin = end + 1;
  }
}

void ChildProcess::Signal(int signal) { ::kill(pid_, signal); }

int ChildProcess::Wait() {
  if (ended_) return status_;
  // What it prints on the one pipe fits the other's buffer.
  while (ReadSome(out_fd_, out_)) {
  }
  while (ReadSome(err_fd_, err_)) {
  }
  int status = 0;
  CHECK_EQ(::waitpid(pid_, &status, 0), pid_);
  ended_ = true;
  status_ = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return status_;
}

}  // namespace intactkv::test
