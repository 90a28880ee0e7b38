// Which flag moves which listener.
#include <gtest/gtest.h>

#include "server/config/server_config.h"

namespace intactkv {
namespace {

ServerConfig Parse(std::vector<std::string> args, const EnvLookup& env) {
  args.emplace_back("--model=m");
  const auto config = ParseServeFlags(args, env);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(ServerConfig());
}

const EnvLookup kNoEnvironment = [](const std::string&) { return std::nullopt; };

TEST(HostsTest, HostOpensTheRestApiAlone) {
  const ServerConfig config = Parse({"--host=0.0.0.0"}, kNoEnvironment);
  EXPECT_EQ(config.host, "0.0.0.0");
  EXPECT_EQ(config.admin_host, "127.0.0.1");
  EXPECT_EQ(config.grpc_host, "127.0.0.1");
}

TEST(HostsTest, TheOthersHaveTheirOwn) {
  const ServerConfig config =
      Parse({"--admin-host=10.0.0.1"}, [](const std::string& name) -> std::optional<std::string> {
        if (name == "INTACTKV_GRPC_HOST") return "::1";
        return std::nullopt;
      });
  EXPECT_EQ(config.host, "127.0.0.1");
  EXPECT_EQ(config.admin_host, "10.0.0.1");
  EXPECT_EQ(config.grpc_host, "::1");
}

}  // namespace
}  // namespace intactkv
