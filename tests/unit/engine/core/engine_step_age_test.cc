// How long the engine thread has not come round its loop, by the engine's own clock.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/unit/engine/core/engine_fixture.h"

namespace intactkv {
namespace {

// Holds the engine thread in a step.
class Held : public Executor {
 public:
  absl::StatusOr<StepResult> Execute(const StepPlan&) override {
    std::unique_lock<std::mutex> lock(mutex_);
    inside_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return released_; });
    return absl::InternalError("over");
  }
  int64_t weight_bytes() const override { return 0; }
  int vocab_size() const override { return 1000; }
  std::string PageChecksum(const std::vector<PageEntry>&) const override { return ""; }

  void AwaitInside() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return inside_; });
  }
  void Release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool inside_ = false, released_ = false;
};

TEST(EngineStepAgeTest, GrowsWhileAStepHangsAndOnlyThen) {
  ManualClock clock;
  auto held = std::make_unique<Held>();
  Held& executor = *held;
  EngineCore engine(
      SmallOptions(),
      EngineCoreParts{
          .executor = std::move(held), .full_precision = nullptr, .clock = &clock, .rng = Rng(7)});
  clock.Advance(absl::Seconds(7));
  EXPECT_EQ(engine.Stats().last_step_age, absl::ZeroDuration()) << "no thread yet";
  engine.Start();
  auto record = std::make_shared<Record>();
  auto handle = engine.Submit(MakeRequest(3, 4), std::make_unique<RecordingSink>(record, 1));
  ASSERT_TRUE(handle.ok());
  executor.AwaitInside();
  EXPECT_EQ(engine.Stats().last_step_age, absl::ZeroDuration());
  clock.Advance(absl::Seconds(45));
  EXPECT_EQ(engine.Stats().last_step_age, absl::Seconds(45));
  executor.Release();
  // Idle, the loop goes on coming round.
  while (engine.Stats().last_step_age > absl::ZeroDuration()) std::this_thread::yield();
  clock.Advance(absl::Seconds(5));
  while (engine.Stats().last_step_age > absl::ZeroDuration()) std::this_thread::yield();
}

}  // namespace
}  // namespace intactkv
