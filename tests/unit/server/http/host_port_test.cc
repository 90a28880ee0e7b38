#include "server/http/host_port.h"

#include <gtest/gtest.h>

namespace intactkv {
namespace {

TEST(HostPortTest, Ipv6GoesIntoBracketsOnce) {
  EXPECT_EQ(HostPort("127.0.0.1", 80), "127.0.0.1:80");
  EXPECT_EQ(HostPort("localhost", 0), "localhost:0");
  EXPECT_EQ(HostPort("::1", 80), "[::1]:80");
  EXPECT_EQ(HostPort("[::1]", 80), "[::1]:80");
}

}  // namespace
}  // namespace intactkv
