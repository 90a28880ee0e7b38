// Sixteen clients at once, on their own threads, over real sockets: some read their answer, whole
// or streamed, some leave before or in the middle of it. For the thread sanitizer above all; what
// it checks beside that: every answer read to its end is the one that the same request gets alone.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "absl/time/clock.h"
#include "engine/base/rng.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

constexpr int kClients = 16;
constexpr int kRequestsPerClient = 16;
constexpr int kPrompts = 5;

enum class Manner { kWhole, kStreamed, kLeavesAtOnce, kLeavesInTheMiddle, kManners };

std::string Body(int prompt, bool stream) {
  std::string text = "The ferry leaves at dawn and whoever is late waits a day. ";
  for (int i = 0; i < prompt; ++i) text += "Passenger " + std::to_string(prompt * 7 + i) + ". ";
  return R"({"model":"tiny","prompt":")" + text +
         R"(","max_tokens":24,"temperature":0,"ignore_eos":true,"return_token_ids":true,)" +
         R"("stream":)" + (stream ? "true" : "false") + "}";
}

std::vector<int64_t> Ask(WireServer& server, int prompt, bool stream) {
  RawHttpClient client(server.api_port());
  client.Send(PostRequest("/v1/completions", Body(prompt, stream)));
  const RawAnswer answer = client.Read();
  return stream ? WireServer::IdsOfStream(answer) : WireServer::IdsOf(answer);
}

// Leaves by closing the socket, with or without having seen something of the answer.
void AskAndLeave(WireServer& server, int prompt, bool in_the_middle) {
  RawHttpClient client(server.api_port());
  client.Send(PostRequest("/v1/completions", Body(prompt, /*stream=*/true)));
  if (in_the_middle) {
    EXPECT_TRUE(client.WaitFor("data: "));
  }
}

int64_t Cancelled(WireServer& server) {
  const EngineStats stats = server.engine().Stats();
  return stats.requests_finished[static_cast<size_t>(FinishReason::kCancelled)];
}

TEST(StressTest, SixteenClientsWithCancels) {
  // A small pool: requests push each other out.
  WireServer server({"--threads", "2", "--max-running", "16", "--max-tokens-per-step", "64",
                     "--max-queue", "64", "--kv-pool-bytes", "150K"});
  std::vector<std::vector<int64_t>> solo;
  for (int prompt = 0; prompt < kPrompts; ++prompt) {
    solo.push_back(Ask(server, prompt, /*stream=*/false));
    ASSERT_EQ(solo.back().size(), 24u);
  }
  ASSERT_EQ(std::set(solo.begin(), solo.end()).size(), solo.size()) << "answers must differ";

  std::atomic<int> compared{0}, left{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      Rng rng(static_cast<uint64_t>(c));
      for (int i = 0; i < kRequestsPerClient; ++i) {
        const auto prompt = static_cast<int>(rng.Below(kPrompts));
        const auto manner = static_cast<Manner>((c + i) % static_cast<int>(Manner::kManners));
        if (manner == Manner::kWhole || manner == Manner::kStreamed) {
          EXPECT_EQ(Ask(server, prompt, manner == Manner::kStreamed),
                    solo[static_cast<size_t>(prompt)]);
          ++compared;
        } else {
          AskAndLeave(server, prompt, manner == Manner::kLeavesInTheMiddle);
          ++left;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(compared, kClients * kRequestsPerClient / 2);
  EXPECT_EQ(left, kClients * kRequestsPerClient / 2);

  // Whoever left is noticed without another request; a server that does not notice hangs the test.
  while (server.engine().Stats().running + server.engine().Stats().waiting > 0) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  const EngineStats stats = server.engine().Stats();
  EXPECT_GT(Cancelled(server), 0);
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_GT(stats.prefix_hit_tokens, 0);
  EXPECT_EQ(stats.full_precision_weight_bytes, 0);
  server.ExpectUnharmed();
}

}  // namespace
}  // namespace intactkv::test
