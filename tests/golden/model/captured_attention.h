// Kernel error on K, V and q captured from a real model (decisions.md 4, "Kernel error").
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/golden/model/capture_model.h"

namespace intactkv::golden {

// One test per model, so that the model runs once.
class CapturedAttentionTest : public ::testing::Test {
 protected:
  // Captures the model at `path` over the chats of `reference`, or skips where it is not there:
  // `how` fetches it.
  void Capture(const std::string& path, const std::string& reference, const char* how);
  // Each stored format on each instruction set, in each captured layer: what the kernel adds to an
  // output is at most half of what storing took from it (for each row, and for each of its heads
  // down to what fp32 can tell). Prints the largest errors.
  void CheckEveryKernel() const;

  ModelCapture capture_;

 private:
  void CheckKernel(int layer, Isa isa, KvFormat stored) const;
};

}  // namespace intactkv::golden
