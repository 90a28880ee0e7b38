// The C++ client against a real listener: it gives what the wire gives, and leaves nothing running.
#include "proto/client/intactkv_client.h"
#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

class ClientTest : public CallFixture {
 protected:
  Client Connect() { return Client("127.0.0.1:" + std::to_string(server_->port())); }
  static v1::GenerateRequest Endless() {
    v1::GenerateRequest request = Prompt("a");
    request.set_max_tokens(kContext - 10);
    request.set_ignore_eos(true);
    request.set_request_id("endless");
    return request;
  }
};

TEST_F(ClientTest, StreamAndWhole) {
  Serve({});
  Client client = Connect();
  TextStream stream = client.Generate(Prompt("a"));
  std::string text;
  bool usage = false;
  while (const auto message = stream.Next()) {
    text += message->text();
    usage = message->has_usage();
  }
  EXPECT_EQ(text, "Hello, world!");
  EXPECT_TRUE(usage);
  EXPECT_TRUE(stream.Finish().ok());
  EXPECT_TRUE(stream.Finish().ok()) << "the same answer each time";
  EXPECT_FALSE(stream.Next().has_value());
  const auto whole = client.GenerateUnary(Prompt("a"));
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->choices(0).text(), text);
}

TEST_F(ClientTest, AStreamThatGoesOutOfScopeEndsItsSequence) {
  Serve({});
  engine_.AllowSteps(2);
  Client client = Connect();
  {
    TextStream stream = client.Generate(Endless());
    EXPECT_TRUE(stream.Next().has_value());
    TextStream moved = std::move(stream);
  }
  WaitForCallsAtMost(0);
  engine_.AllowSteps(-1);
  engine_.WaitForCancelled(1);
}

TEST_F(ClientTest, AssigningAStreamEndsTheOldOne) {
  Serve({});
  engine_.AllowSteps(2);
  Client client = Connect();
  TextStream stream = client.Generate(Endless());
  EXPECT_TRUE(stream.Next().has_value());
  stream = client.Generate(Prompt("a"));
  engine_.WaitForSubmitted(2);
  WaitForCallsAtMost(1);
  engine_.AllowSteps(-1);
  engine_.WaitForCancelled(1);
  EXPECT_TRUE(stream.Finish().ok());
}

TEST_F(ClientTest, CancelAbortAndDeadline) {
  Serve({});
  engine_.AllowSteps(2);
  Client client = Connect();
  TextStream mine = client.Generate(Endless());
  EXPECT_TRUE(mine.Next().has_value());
  mine.Cancel();
  EXPECT_EQ(mine.Finish().code(), absl::StatusCode::kCancelled);
  WaitForCallsAtMost(0);
  engine_.AllowSteps(-1);
  engine_.WaitForCancelled(1);

  engine_.AllowSteps(2);
  TextStream other = client.Generate(Endless());
  EXPECT_TRUE(other.Next().has_value());
  EXPECT_TRUE(client.Abort("endless").ok());
  EXPECT_EQ(other.Finish().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(client.Abort("endless").code(), absl::StatusCode::kNotFound);
  engine_.AllowSteps(-1);
  engine_.WaitForCancelled(2);

  engine_.AllowSteps(0);
  EXPECT_EQ(client.GenerateUnary(Endless(), {.timeout = absl::Milliseconds(50)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  engine_.AllowSteps(-1);
}

TEST_F(ClientTest, ErrorsCarryCodeAndField) {
  Serve({});
  Client client = Connect();
  v1::GenerateRequest request = Prompt("a");
  request.set_n(0);
  for (const absl::Status& status :
       {client.GenerateUnary(request).status(), client.Generate(request).Finish()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ErrorCode(status), "invalid_value");
    EXPECT_EQ(ErrorParam(status), "n");
  }
  EXPECT_EQ(ErrorCode(absl::OkStatus()), "");
}

TEST_F(ClientTest, TextAndServerInfo) {
  GrpcServerOptions options;
  options.server_version = "1.2.3";
  Serve(options);
  Client client = Connect();
  v1::TokenizeRequest text;
  text.set_prompt("hi");
  const auto tokens = client.Tokenize(text);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  v1::DetokenizeRequest ids;
  for (const int32_t id : tokens->tokens()) ids.add_tokens(id);
  const auto back = client.Detokenize(ids);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->prompt(), "hi");
  const auto info = client.GetServerInfo();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->server_version(), "1.2.3");
}

}  // namespace
}  // namespace intactkv::test
