// The simulator by hand: scripts/sim.sh --seed S | --seeds A:B [--jobs N] and more.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "tests/sim/seed_runner.h"

namespace intactkv::sim {
namespace {

struct Arguments {
  RangeOptions range;
  bool paths = false, scenario = false, valid = false;
};

bool ParseRange(const std::string& text, RangeOptions& range) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return false;
  range.first = std::strtoull(text.c_str(), nullptr, 10);
  range.end = std::strtoull(text.c_str() + colon + 1, nullptr, 10);
  return range.first < range.end;
}

Arguments Parse(const std::vector<std::string>& words) {
  Arguments out;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool more = i + 1 < words.size();
    if (words[i] == "--seed" && more) {
      out.range.first = std::strtoull(words[++i].c_str(), nullptr, 10);
      out.range.end = out.range.first + 1;
      out.valid = true;
    } else if (words[i] == "--seeds" && more) {
      out.valid = ParseRange(words[++i], out.range);
    } else if (words[i] == "--jobs" && more) {
      out.range.jobs = std::max(1, std::atoi(words[++i].c_str()));
    } else if (words[i] == "--paths") {
      out.paths = true;
    } else if (words[i] == "--rare") {
      out.range.require_rare_paths = true;
    } else if (words[i] == "--scenario") {
      out.scenario = true;
    } else {
      return {};
    }
  }
  return out;
}

int Run(const Arguments& arguments) {
  if (arguments.scenario) {
    for (const Mode mode : {Mode::kSafety, Mode::kLiveness}) {
      std::cout << ToString(MakeScenario(arguments.range.first, mode)) << "\n";
    }
  }
  const RangeResult result = RunSeeds(arguments.range);
  if (arguments.paths) {
    for (size_t i = 0; i < kNumRarePaths; ++i) {
      std::cout << RarePathName(i) << " " << result.counts.counts[i] << "\n";
    }
  }
  if (!result.report.empty()) {
    std::cout << result.report;
    return 1;
  }
  std::cout << arguments.range.end - arguments.range.first
            << " seeds passed: " << result.num_requests << " requests, " << result.num_tokens
            << " tokens, " << result.num_steps << " steps\n";
  return 0;
}

}  // namespace
}  // namespace intactkv::sim

int main(int argc, char** argv) {
  const auto arguments = intactkv::sim::Parse(std::vector<std::string>(argv + 1, argv + argc));
  if (!arguments.valid) {
    std::cerr << "usage: --seed S | --seeds A:B [--jobs N] [--paths] [--rare] [--scenario]\n";
    return 2;
  }
  return intactkv::sim::Run(arguments);
}
