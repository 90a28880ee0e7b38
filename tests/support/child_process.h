// Runs a program and reads what it prints. For tests of the binary.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace intactkv::test {

// The program inherits the environment without the variables named INTACTKV_*. Destroying it kills
// what still runs. Thread-compatible.
class ChildProcess {
 public:
  // `max_open_files`: 0 leaves the limit as it is.
  explicit ChildProcess(std::vector<std::string> args, int max_open_files = 0);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Reads standard output until a line begins with `prefix`, and returns that line; "" at its end.
  std::string AwaitLine(std::string_view prefix);
  void Signal(int signal);
  // Waits for the end: the exit status, or minus the signal that ended it. Idempotent.
  int Wait();
  // After Wait: all that it printed.
  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }

 private:
  pid_t pid_ = -1;
  int out_fd_ = -1, err_fd_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::string out_, err_;
};

}  // namespace intactkv::test
