// GetServerInfo: the state as it changes, and what was configured, field for field.
#include "server/request/request_limits.h"
#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

class ServerInfoTest : public CallFixture {
 protected:
  v1::ServerInfo Info() {
    grpc::ClientContext call;
    v1::ServerInfo info;
    const grpc::Status status = stub_->GetServerInfo(&call, {}, &info);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return info;
  }
};

TEST_F(ServerInfoTest, EveryFieldFromItsOption) {
  GrpcServerOptions options;
  options.server_version = "1.2.3";
  options.weights = "int8";
  options.activations = "f32";
  options.pin_dtype = "f16";
  options.max_running = 5;
  options.max_queue = 6;
  options.max_tokens_per_step = 7;
  options.request_timeout = absl::Seconds(8);
  Serve(options);
  const v1::ServerInfo info = Info();
  EXPECT_EQ(info.server_version(), "1.2.3");
  EXPECT_EQ(info.state(), v1::SERVER_STATE_READY);
  EXPECT_EQ(info.model().id(), "m");
  EXPECT_EQ(info.model().max_model_len(), kContext);
  EXPECT_EQ(info.formats().weights(), "int8");
  EXPECT_EQ(info.formats().activations(), "f32");
  EXPECT_EQ(info.formats().pin_dtype(), "f16");
  EXPECT_EQ(info.limits().max_running(), 5);
  EXPECT_EQ(info.limits().max_queue(), 6);
  EXPECT_EQ(info.limits().max_tokens_per_step(), 7);
  EXPECT_EQ(info.limits().request_timeout_seconds(), 8.0);
  EXPECT_EQ(info.limits().max_message_bytes(), 4 << 20);
  EXPECT_EQ(info.limits().max_choices(), kMaxChoices);
  EXPECT_EQ(info.limits().max_top_logprobs(), kMaxTopLogprobs);
  EXPECT_EQ(info.limits().max_stop_strings(), static_cast<int64_t>(kMaxStopStrings));
}

TEST_F(ServerInfoTest, TheStateFromLoadingToDraining) {
  auto loading = GrpcServer::Start({}, &context_, [this] { return posts_.Post(); });
  ASSERT_TRUE(loading.ok());
  server_ = *std::move(loading);
  stub_ = v1::IntactKV::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()),
                                                    grpc::InsecureChannelCredentials()));
  const v1::ServerInfo before = Info();
  EXPECT_EQ(before.state(), v1::SERVER_STATE_LOADING);
  EXPECT_FALSE(before.has_model());
  EXPECT_EQ(before.formats().kv(), "");
  EXPECT_TRUE(before.has_limits());
  context_.Publish({&engine_, &codec_, {"m", kContext, kFakeVocabSize, 1, 1, "int4"}, &encoder_});
  EXPECT_EQ(Info().state(), v1::SERVER_STATE_READY);
  EXPECT_EQ(Info().formats().kv(), "int4");
  context_.BeginDrain();
  const v1::ServerInfo draining = Info();
  EXPECT_EQ(draining.state(), v1::SERVER_STATE_DRAINING);
  EXPECT_TRUE(draining.has_model());
}

}  // namespace
}  // namespace intactkv::test
