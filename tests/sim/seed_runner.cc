#include "tests/sim/seed_runner.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <new>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "tests/sim/simulation.h"

namespace intactkv::sim {
namespace {

constexpr int kShrinkRuns = 400;
constexpr size_t kTextBytes = 8'192;

// What a worker tells, also when it dies.
struct Shared {
  uint64_t seed = 0;
  Mode mode = Mode::kSafety;
  bool failed = false;
  RarePathCounts counts;
  int64_t num_requests = 0, num_steps = 0, num_tokens = 0;
  char text[kTextBytes] = {};

  void Say(const std::string& what) {
    failed = true;
    std::snprintf(text, kTextBytes, "%s", what.c_str());
  }
};

class SharedBlock {
 public:
  SharedBlock() {
    void* memory =
        mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    shared_ = new (memory) Shared;
  }
  SharedBlock(SharedBlock&& other) noexcept : shared_(std::exchange(other.shared_, nullptr)) {}
  SharedBlock& operator=(SharedBlock&&) = delete;
  ~SharedBlock() {
    if (shared_ != nullptr) munmap(shared_, sizeof(Shared));
  }
  Shared& operator*() const { return *shared_; }
  Shared* operator->() const { return shared_; }

 private:
  Shared* shared_;
};

// `work` in a process of its own; its end is told by the returned pid.
pid_t Spawn(bool silent, const std::function<void()>& work) {
  std::fflush(nullptr);
  const pid_t pid = fork();
  CHECK_GE(pid, 0);
  if (pid > 0) return pid;
  if (silent) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
  }
  work();
  _exit(0);  // no destructors: after a finding the engine may be in any state
}

void Join(pid_t pid, Shared& shared) {
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (!shared.failed) shared.Say("the process died: see the CHECK above");
}

void RunOne(const Scenario& scenario, Shared& shared) {
  // Never destroyed: see Spawn().
  auto* simulation = new Simulation(scenario);
  const Outcome outcome = simulation->Run();
  if (!outcome.problem.empty()) {
    shared.Say(outcome.problem + "\nlast records:\n" + outcome.recent);
    return;
  }
  delete simulation;
  shared.counts.Add(outcome.counts);
  shared.num_requests += outcome.num_requests;
  shared.num_steps += outcome.num_steps;
  shared.num_tokens += outcome.num_tokens;
}

// What is wrong with `scenario`; empty if nothing is.
std::string Problem(const Scenario& scenario, bool silent) {
  const SharedBlock shared;
  Join(Spawn(silent, [&] { RunOne(scenario, *shared); }), *shared);
  return shared->failed ? shared->text : "";
}

void RunWorker(const RangeOptions& options, int job, Shared& shared) {
  for (uint64_t seed = options.first + static_cast<uint64_t>(job); seed < options.end;
       seed += static_cast<uint64_t>(options.jobs)) {
    for (const Mode mode : {Mode::kSafety, Mode::kLiveness}) {
      shared.seed = seed;
      shared.mode = mode;
      RunOne(MakeScenario(seed, mode), shared);
      if (shared.failed) return;
    }
  }
}

std::string Commit() {
  const std::string command =
      std::string("git -C '") + INTACTKV_SOURCE_DIR + "' rev-parse --short=12 HEAD 2>/dev/null";
  std::string commit;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char line[64] = {};
    if (std::fgets(line, sizeof(line), pipe) != nullptr) commit = line;
    pclose(pipe);
  }
  commit.erase(std::remove(commit.begin(), commit.end(), '\n'), commit.end());
  return commit.empty() ? "unknown" : commit;
}

std::string Report(uint64_t seed, Mode mode) {
  const Scenario shrunk = Shrink(MakeScenario(seed, mode));
  const std::string number = std::to_string(seed);
  return "seed " + number + (mode == Mode::kSafety ? " (safety)" : " (liveness)") + ", commit " +
         Commit() + "\nreplay: scripts/sim.sh --seed " + number + "\n" +
         Problem(shrunk, /*silent=*/false) + "shrunk scenario:\n" + ToString(shrunk);
}

Scenario Without(const Scenario& scenario, size_t begin, size_t count) {
  Scenario less = scenario;
  const auto first = less.events.begin() + static_cast<std::ptrdiff_t>(begin);
  less.events.erase(first, first + static_cast<std::ptrdiff_t>(count));
  return less;
}

}  // namespace

// Delta debugging, Zeller and Hildebrandt 2002 (doi:10.1109/32.988498), without its complements.
Scenario Shrink(const Scenario& scenario) {
  if (Problem(scenario, /*silent=*/true).empty()) return scenario;
  Scenario best = scenario;
  int runs = 0;
  for (size_t chunk = best.events.size() / 2; chunk >= 1 && runs < kShrinkRuns; chunk /= 2) {
    for (size_t at = 0; at + chunk <= best.events.size() && runs < kShrinkRuns; ++runs) {
      Scenario less = Without(best, at, chunk);
      if (Problem(less, /*silent=*/true).empty()) {
        at += chunk;
      } else {
        best = std::move(less);
      }
    }
  }
  return best;
}

RangeResult RunSeeds(const RangeOptions& options) {
  std::vector<SharedBlock> shared(static_cast<size_t>(options.jobs));
  std::vector<pid_t> workers;  // silent: the report runs what failed once more, aloud
  for (int job = 0; job < options.jobs; ++job) {
    Shared& own = *shared[static_cast<size_t>(job)];
    workers.push_back(
        Spawn(/*silent=*/true, [&options, job, &own] { RunWorker(options, job, own); }));
  }
  RangeResult result;
  for (size_t job = 0; job < workers.size(); ++job) {
    Shared& own = *shared[job];
    Join(workers[job], own);
    result.counts.Add(own.counts);
    result.num_requests += own.num_requests;
    result.num_steps += own.num_steps;
    result.num_tokens += own.num_tokens;
    if (own.failed && result.report.empty()) result.report = Report(own.seed, own.mode);
  }
  if (result.report.empty() && options.require_rare_paths) {
    const std::string missing = MissingPaths(result.counts, options.end - options.first);
    if (!missing.empty()) result.report = "paths that were taken too rarely:\n" + missing;
  }
  return result;
}

}  // namespace intactkv::sim
