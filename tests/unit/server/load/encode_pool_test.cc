// Turning text into tokens happens beside the I/O threads, after everything that can be refused
// without it.
#include "server/request/encode_pool.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/unit/server/load/load_fixture.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;

constexpr char kTokenize[] = R"({"prompt":"hi"})";

TEST(EncodePoolTest, TakesWhatItsThreadsAndItsQueueHoldAndNotOneMore) {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  int begun = 0;
  const auto work = [&] {
    std::unique_lock<std::mutex> lock(mutex);
    ++begun;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
  };
  EncodePool pool(/*threads=*/1, /*capacity=*/2);
  ASSERT_TRUE(pool.TryRun(work));
  {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return begun == 1; });
  }
  EXPECT_TRUE(pool.TryRun(work));
  EXPECT_TRUE(pool.TryRun(work));
  EXPECT_FALSE(pool.TryRun(work));
  std::unique_lock<std::mutex> lock(mutex);
  open = true;
  changed.notify_all();
  changed.wait(lock, [&] { return begun == 3; });
}

TEST(EncodePoolTest, WhatStillWaitsAtTheEndIsDropped) {
  const auto waits = std::make_shared<int>(0);
  {
    EncodePool pool(/*threads=*/0, /*capacity=*/1);
    ASSERT_TRUE(pool.TryRun([waits] {}));
    EXPECT_EQ(waits.use_count(), 2);
    pool.Stop();
    EXPECT_EQ(waits.use_count(), 1);
  }
}

class EncodingTest : public LoadFixture {
 protected:
  EncodingTest() {
    HttpServerOptions options;
    options.io_threads = 1;  // whatever waits on it, everybody waits
    Serve(options);
  }
  ~EncodingTest() override { codec_.Release(); }
};

TEST_F(EncodingTest, ProbesAndStreamsGoOnWhileTextIsEncoded) {
  engine_.AllowSteps(1);
  RawHttpClient stream(port());
  stream.Send(Completion("a", R"(,"stream":true)"));
  ASSERT_TRUE(stream.WaitFor("data: "));

  codec_.Hold();
  RawHttpClient text(port()), prompt(port());
  text.Send(Post("/tokenize", kTokenize));
  prompt.Send(Completion("a"));
  codec_.AwaitBegun(3);  // the stream's, and now every thread of the pool is busy

  RawHttpClient probe(port());
  probe.Send(Get("/health"));
  EXPECT_EQ(probe.Read().status, 200);
  engine_.AllowSteps(-1);
  EXPECT_TRUE(stream.WaitFor("[DONE]"));
  EXPECT_EQ(engine_.submitted().size(), 1u);

  codec_.Release();
  EXPECT_EQ(text.Read().status, 200);
  EXPECT_EQ(prompt.Read().status, 200);
}

TEST_F(EncodingTest, OneConnectionsAnswersKeepTheirOrder) {
  codec_.Hold();
  RawHttpClient client(port());
  client.Send(Post("/tokenize", kTokenize) + Get("/version"));
  codec_.AwaitBegun(1);
  codec_.Release();
  EXPECT_THAT(client.Read().body, HasSubstr("\"tokens\":[104,105]"));
  EXPECT_THAT(client.Read().body, HasSubstr("\"version\""));
}

TEST_F(EncodingTest, APromptOfMoreBytesThanAContextOfTokensIsNotEncoded) {
  RawHttpClient client(port());
  client.Send(Completion(std::string(kContext + 1, 'a')));
  const RawAnswer refused = client.Read();
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.body, HasSubstr("\"context_length_exceeded\""));
  EXPECT_THAT(refused.body, HasSubstr("\"param\":\"prompt\""));
  EXPECT_EQ(codec_.begun(), 0);
  // At the edge the tokens are counted: they leave no room for an answer.
  client.Send(Completion(std::string(kContext, 'a')));
  EXPECT_THAT(client.Read().body, HasSubstr("\"context_length_exceeded\""));
  EXPECT_EQ(codec_.begun(), 1);
  client.Send(Completion(std::string(kContext - 1, 'a')));
  EXPECT_EQ(client.Read().status, 200);
  // A chat: all its messages together.
  const std::string half = R"({"role":"user","content":")" + std::string(kContext / 2, 'a') + "\"}";
  const std::string more = R"({"role":"user","content":"a"})";
  client.Send(Post("/v1/chat/completions",
                   R"({"model":"m","messages":[)" + half + "," + half + "," + more + "]}"));
  const RawAnswer chat = client.Read();
  EXPECT_THAT(chat.body, HasSubstr("\"param\":\"messages\""));
  EXPECT_THAT(chat.body, HasSubstr("no text of 101 bytes"));
}

TEST_F(EncodingTest, AFullQueueRefusesBeforeEncoding) {
  engine_.SetSubmitStatus(absl::ResourceExhaustedError("full"));
  RawHttpClient client(port());
  client.Send(Completion("a"));
  const RawAnswer answer = client.Read();
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.Header("Retry-After"), "1");
  EXPECT_EQ(codec_.begun(), 0);
}

TEST_F(EncodingTest, AFullPoolRefuses) {
  codec_.Hold();
  std::vector<std::unique_ptr<RawHttpClient>> taken;
  const auto ask = [&](const std::string& request) {
    taken.push_back(std::make_unique<RawHttpClient>(port()));
    taken.back()->Send(request);
  };
  for (int i = 0; i < kEncodeThreads; ++i) ask(Completion("a"));
  codec_.AwaitBegun(kEncodeThreads);
  // One I/O thread: each is taken in before the next one's probe is answered.
  for (int i = 0; i < kEncodesWaiting; ++i) {
    ask(Completion("a"));
    while (encoder_.num_waiting() <= static_cast<size_t>(i)) std::this_thread::yield();
  }
  RawHttpClient refused(port());
  for (const std::string& request : {Completion("a"), Post("/tokenize", kTokenize)}) {
    refused.Send(request);
    const RawAnswer answer = refused.Read();
    EXPECT_EQ(answer.status, 429);
    EXPECT_THAT(answer.body, HasSubstr("\"queue_full\""));
  }
  codec_.Release();
  for (const auto& client : taken) EXPECT_EQ(client->Read().status, 200);
}

TEST_F(EncodingTest, AClientThatLeavesBeforeItsTurnIsNotEncoded) {
  codec_.Hold();
  std::vector<std::unique_ptr<RawHttpClient>> busy;
  for (int i = 0; i < kEncodeThreads; ++i) {
    busy.push_back(std::make_unique<RawHttpClient>(port()));
    busy.back()->Send(Completion("a"));
  }
  codec_.AwaitBegun(kEncodeThreads);
  {
    RawHttpClient leaves(port());
    leaves.Send(Completion("a"));
    while (encoder_.num_waiting() == 0) std::this_thread::yield();
  }
  while (server_->num_connections() > static_cast<size_t>(kEncodeThreads)) {
    std::this_thread::yield();
  }
  codec_.Release();
  for (const auto& client : busy) EXPECT_EQ(client->Read().status, 200);
  while (encoder_.num_waiting() > 0) std::this_thread::yield();
  RawHttpClient client(port());
  client.Send(Completion("a"));
  EXPECT_EQ(client.Read().status, 200);
  EXPECT_EQ(engine_.submitted().size(), static_cast<size_t>(kEncodeThreads) + 1);
  EXPECT_EQ(codec_.begun(), kEncodeThreads + 1);
}

}  // namespace
}  // namespace intactkv::test
