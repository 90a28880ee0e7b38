// The bytes of all bodies that a listener holds at once have a limit: the last byte of it is given
// out, the next one is refused before it is read, and a running generation holds none.
#include <gmock/gmock.h>

#include <cstdio>
#include <thread>

#include "server/http/byte_budget.h"
#include "tests/unit/server/load/load_fixture.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;

constexpr size_t kBudget = 2000;
constexpr char kCompletions[] = "/v1/completions";

class BodyBudgetTest : public LoadFixture {
 protected:
  BodyBudgetTest() {
    HttpServerOptions options;
    options.body_budget_bytes = kBudget;
    Serve(options);
  }
  // A good request's body of exactly `size` bytes.
  static std::string Body(size_t size) {
    std::string body = R"({"model":"m","prompt":"a","max_tokens":3,"user":""})";
    body.insert(body.size() - 2, size - body.size(), 'u');
    return body;
  }
  // A client that has announced a body and may send it: the server has taken its size from the
  // budget.
  void Announce(RawHttpClient& client, size_t size) {
    client.Send(Head(kCompletions,
                     "Expect: 100-continue\r\nContent-Length: " + std::to_string(size) + "\r\n"));
    ASSERT_EQ(client.Read().status, 100);
  }
  static void ExpectOverloaded(const RawAnswer& answer) {
    EXPECT_EQ(answer.status, 503);
    EXPECT_EQ(answer.Header("Retry-After"), "1");
    EXPECT_THAT(answer.body, HasSubstr("\"overloaded\""));
  }
};

TEST(ByteBudgetTest, TheLastByteIsGivenOutAndTheNextOneIsNot) {
  const auto budget = std::make_shared<ByteBudget>(10);
  ByteShare first(budget), second(budget);
  EXPECT_TRUE(first.TryGrowTo(7));
  EXPECT_FALSE(second.TryGrowTo(4));
  EXPECT_TRUE(second.TryGrowTo(3));
  EXPECT_FALSE(first.TryGrowTo(8));
  EXPECT_TRUE(first.TryGrowTo(7)) << "what it has already";
  {
    ByteShare moved(std::move(second));
    EXPECT_FALSE(first.TryGrowTo(8));
  }
  EXPECT_TRUE(first.TryGrowTo(10));
  first.Clear();
  EXPECT_TRUE(second.TryGrowTo(10));
}

TEST_F(BodyBudgetTest, TheWholeBudgetCanBeUsedAndNotAByteMore) {
  RawHttpClient reading(port());
  Announce(reading, kBudget);
  RawHttpClient refused(port());
  // Not a byte of the body is sent: the head alone is refused.
  refused.Send(Head(kCompletions, "Content-Length: 1\r\n"));
  ExpectOverloaded(refused.Read());
  reading.Send(Body(kBudget));
  EXPECT_EQ(reading.Read().status, 200);
  // All of it is free again.
  reading.Send(Post(kCompletions, Body(kBudget)));
  EXPECT_EQ(reading.Read().status, 200);
}

TEST_F(BodyBudgetTest, ABodyOfUnknownLengthTakesItsShareAsItComes) {
  RawHttpClient reading(port());
  Announce(reading, kBudget - 100);
  const auto chunked = [](const std::string& body) {
    char size[16];
    std::snprintf(size, sizeof(size), "%zx\r\n", body.size());
    return Head(kCompletions, "Transfer-Encoding: chunked\r\n") + size + body + "\r\n0\r\n\r\n";
  };
  RawHttpClient client(port());
  client.Send(chunked(Body(100)));
  EXPECT_EQ(client.Read().status, 200);
  client.Send(chunked(Body(101)));
  ExpectOverloaded(client.Read());
}

TEST_F(BodyBudgetTest, AClientThatLeavesGivesItsShareBack) {
  {
    RawHttpClient gone(port());
    Announce(gone, kBudget);
  }
  // The server hears of it in its own time.
  while (server_->num_connections() > 0) std::this_thread::yield();
  RawHttpClient client(port());
  client.Send(Post(kCompletions, Body(kBudget)));
  EXPECT_EQ(client.Read().status, 200);
}

TEST_F(BodyBudgetTest, ARunningGenerationHoldsNone) {
  engine_.AllowSteps(0);
  RawHttpClient running(port());
  running.Send(Post(kCompletions, Body(kBudget)));
  engine_.WaitForSubmitted(1);
  RawHttpClient other(port());
  other.Send(Post(kCompletions, Body(kBudget)));
  engine_.WaitForSubmitted(2);
  engine_.AllowSteps(-1);
  EXPECT_EQ(running.Read().status, 200);
  EXPECT_EQ(other.Read().status, 200);
}

}  // namespace
}  // namespace intactkv::test
