// The executable from the outside, as far as it goes without a model: what it prints, on which
// stream, and how it exits.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace intactkv {
namespace {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// Runs the binary with `args`, as a shell splits them, and nothing of ours in its environment.
Outcome RunBinary(const std::string& args) {
  const std::string base = ::testing::TempDir() + "command_line_" + std::to_string(getpid());
  const std::string command = "env -i HOME=/nonexistent " INTACTKV_BINARY " " + args + " >" + base +
                              ".out 2>" + base + ".err </dev/null";
  const int status = std::system(command.c_str());
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.out = ReadFile(base + ".out");
  outcome.err = ReadFile(base + ".err");
  std::remove((base + ".out").c_str());
  std::remove((base + ".err").c_str());
  return outcome;
}

// Exit code 1 and one line on stderr that holds `words`.
void ExpectRefused(const std::string& args, const std::string& words) {
  const Outcome outcome = RunBinary(args);
  EXPECT_EQ(outcome.exit_code, 1) << args;
  EXPECT_TRUE(outcome.err.starts_with("intactkv: ")) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_NE(outcome.err.find(words), std::string::npos) << args << " said: " << outcome.err;
}

TEST(CommandLineTest, HelpGoesToStdoutAndIsNoError) {
  for (const char* args : {"", "help", "--help", "-h", "bench --help", "bench --repeats 0 -h"}) {
    const Outcome outcome = RunBinary(args);
    EXPECT_EQ(outcome.exit_code, 0) << args;
    EXPECT_NE(outcome.out.find("intactkv serve"), std::string::npos);
    EXPECT_EQ(outcome.err, "");
  }
  const Outcome serve = RunBinary("serve --help");
  EXPECT_EQ(serve.exit_code, 0);
  for (const char* flag : {"--model", "--port", "--kv", "--weights", "--max-queue"}) {
    EXPECT_NE(serve.out.find(flag), std::string::npos) << flag;
  }
}

TEST(CommandLineTest, Version) {
  for (const char* args : {"version", "--version"}) {
    const Outcome outcome = RunBinary(args);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.out, "intactkv " INTACTKV_VERSION "\n");
  }
}

TEST(CommandLineTest, UnknownCommandsExitWithTwo) {
  for (const char* args :
       {"frobnicate", "Serve", "model", "model inspect", "model inspect a b", "model frob a"}) {
    const Outcome outcome = RunBinary(args);
    EXPECT_EQ(outcome.exit_code, 2) << args;
    EXPECT_NE(outcome.err.find("unknown command"), std::string::npos);
    EXPECT_EQ(outcome.out, "");
  }
}

TEST(CommandLineTest, BadFlagsAreNamedInOneLine) {
  ExpectRefused("serve --frobnicate", "frobnicate");
  ExpectRefused("serve --port 65536", "--port");
  ExpectRefused("serve --kv int3", "int3");
  ExpectRefused("serve stray", "--");
  ExpectRefused("serve --no-pin --system-prompt x", "--no-pin");
  ExpectRefused("serve --port 0 --admin-port 0 --grpc-port 0 --max-queue 0", "--max-queue");
}

TEST(CommandLineTest, BenchNumbersOnBothEdges) {
  for (const char* flag : {"--prompt-tokens", "--decode-tokens", "--repeats"}) {
    const std::string name(flag);
    ExpectRefused("bench " + name, name);
    for (const char* value :
         {"0", "-1", "1000001", "5x", "x", "''", "1.5", "99999999999999999999"}) {
      ExpectRefused("bench " + name + " " + value, name);
    }
    // Accepted: the next thing that is missing is the model.
    for (const char* value : {"2", "1000000"}) {
      ExpectRefused("bench " + name + " " + value + " --model /nonexistent/m.gguf",
                    "/nonexistent/m.gguf");
    }
  }
  // An interval needs two tokens.
  ExpectRefused("bench --decode-tokens 1 --model /nonexistent/m.gguf", "--decode-tokens");
  ExpectRefused("bench --repeats 1 --prompt-tokens 1 --model /nonexistent/m.gguf",
                "/nonexistent/m.gguf");
}

TEST(CommandLineTest, AMissingModelIsNamedInOneLine) {
  ExpectRefused("model inspect /nonexistent/m.gguf", "/nonexistent/m.gguf");
  ExpectRefused("bench", "/nonexistent/.cache/intactkv/SmolLM2-135M-Instruct.Q4_1.gguf");
  const Outcome serve =
      RunBinary("serve --model /nonexistent/m.gguf --port 0 --admin-port 0 --grpc-port 0");
  EXPECT_EQ(serve.exit_code, 1);
  EXPECT_NE(serve.err.find("/nonexistent/m.gguf"), std::string::npos) << serve.err;
}

TEST(CommandLineTest, AFileThatIsNoModelIsNamedInOneLine) {
  const std::string path = ::testing::TempDir() + "no_model_" + std::to_string(getpid());
  std::ofstream(path) << "GGUT, not a model";
  ExpectRefused("model inspect " + path, path);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace intactkv
