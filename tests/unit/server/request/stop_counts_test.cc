// An answer that a stop string ends is a good end for the engine too, not a client that left.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "engine/base/mutex.h"
#include "server/request/completion_stream.h"
#include "tests/support/fake_engine.h"
#include "tests/support/fake_text_codec.h"

namespace intactkv {
namespace {

TEST(StopCountsTest, AStopStringCountsAsStop) {
  FakeTextCodec codec;
  FakeEngine engine;
  engine.SetScript([](const GenerationRequest&, int, int index) {
    return TokenId(index == 3 ? '.' : 'a');  // "aaa.aaa..."
  });
  engine.AllowSteps(4);  // the engine waits for us after the stop string
  const ServedModel model{.name = "m", .max_model_len = 100, .vocab_size = kFakeVocabSize};
  RawRequest raw;
  raw.model = "m";
  raw.prompt = "hi";
  raw.max_tokens = 50;
  raw.stop = {"."};
  const auto valid = ValidateRequest(std::move(raw), model);
  ASSERT_TRUE(valid.ok());
  auto generation = BuildGeneration(*valid, codec, model, absl::InfiniteFuture());
  ASSERT_TRUE(generation.ok());

  Mutex mutex;
  CondVar posted;
  std::vector<std::function<void()>> tasks;
  const PostFn post = [&](std::function<void()> task) {
    MutexLock lock(&mutex);
    tasks.push_back(std::move(task));
    posted.NotifyAll();
  };
  auto stream =
      CompletionStream::Start({.engine = &engine, .codec = &codec, .post = post, .on_ready = [] {}},
                              *valid, std::move(generation).value());
  ASSERT_TRUE(stream.ok());
  std::string text;
  CompletionUpdate update;
  while (!update.done) {
    std::vector<std::function<void()>> batch;
    {
      MutexLock lock(&mutex);
      while (tasks.empty()) posted.Wait(&mutex);
      batch.swap(tasks);
    }
    for (const auto& task : batch) task();
    while ((*stream)->HasUpdate()) {
      update = (*stream)->Take();
      for (const ChoiceDelta& delta : update.deltas) text += delta.text;
    }
  }
  EXPECT_EQ(text, "aaa");
  EXPECT_FALSE(update.error.has_value());
  EXPECT_EQ(update.usage.completion_tokens, 4);
  engine.WaitForIdle();
  const EngineStats stats = engine.Stats();
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kStop)], 1);
  EXPECT_EQ(stats.requests_finished[static_cast<size_t>(FinishReason::kCancelled)], 0);
}

}  // namespace
}  // namespace intactkv
