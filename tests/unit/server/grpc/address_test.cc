// The addresses that the gRPC listener takes.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/server/grpc/call_fixture.h"

namespace intactkv::test {
namespace {

// Containers without IPv6 are common.
bool HasIpv6Loopback() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool has =
      fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  if (fd >= 0) ::close(fd);
  return has;
}

using AddressTest = CallFixture;

TEST_F(AddressTest, Ipv6) {
  if (!HasIpv6Loopback()) GTEST_SKIP() << "no IPv6 here";
  GrpcServerOptions options;
  options.host = "::1";
  Serve(options);
  grpc::ClientContext call;
  EXPECT_TRUE(Run(call, Prompt("a")).ok());
  EXPECT_EQ(text_, "Hello, world!");
}

TEST_F(AddressTest, ATakenPortIsAnErrorThatNamesIt) {
  Serve({});
  GrpcServerOptions options;
  options.port = server_->port();
  const auto second = GrpcServer::Start(options, &context_, [this] { return posts_.Post(); });
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(
      std::string(second.status().message()).find("127.0.0.1:" + std::to_string(options.port)),
      std::string::npos);
}

}  // namespace
}  // namespace intactkv::test
