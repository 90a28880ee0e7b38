// The first thing that a simulation found wrong; whatever comes after it is a consequence.
#pragma once

#include <string>
#include <utility>

namespace intactkv::sim {

class Findings {
 public:
  void Add(std::string problem) {
    if (first_.empty()) first_ = std::move(problem);
  }
  // Adds `problem` unless `holds`.
  void Require(bool holds, const char* problem) {
    if (!holds) Add(problem);
  }
  bool empty() const { return first_.empty(); }
  const std::string& first() const { return first_; }

 private:
  std::string first_;
};

}  // namespace intactkv::sim
