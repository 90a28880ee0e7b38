#include "server/config/server_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>

#include "engine/base/status_macros.h"
#include "server/config/flag_table.h"

namespace intactkv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Environment = std::map<std::string, std::string>;

absl::StatusOr<ServerConfig> Parse(std::vector<std::string> args, Environment environment = {}) {
  return ParseServeFlags(args, [&](const std::string& name) -> std::optional<std::string> {
    const auto it = environment.find(name);
    if (it == environment.end()) return std::nullopt;
    return it->second;
  });
}

std::string ErrorOf(std::vector<std::string> args, Environment environment = {}) {
  args.insert(args.begin(), "--model=m.gguf");
  const auto config = Parse(std::move(args), std::move(environment));
  return config.ok() ? "" : std::string(ToStd(config.status().message()));
}

TEST(ServerConfigTest, DefaultsAreThoseOfTheHelpText) {
  const auto config = Parse({"--model", "/models/Small.Q4_1.gguf"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model_path, "/models/Small.Q4_1.gguf");
  EXPECT_EQ(config->model_name, "Small.Q4_1");
  EXPECT_EQ(config->host, "127.0.0.1");
  EXPECT_EQ(config->port, 8080);
  EXPECT_EQ(config->admin_port, 8081);
  EXPECT_EQ(config->grpc_port, 8082);
  EXPECT_EQ(Name(config->weights), "stored");
  EXPECT_EQ(Name(config->activations), "int8");
  EXPECT_EQ(Name(config->kv), "auto");
  EXPECT_TRUE(config->kv_table.rows.empty());
  EXPECT_EQ(Name(config->pin_dtype), "f32");
  EXPECT_TRUE(config->pin);
  EXPECT_TRUE(config->prefix_cache);
  EXPECT_EQ(config->max_running, 16);
  EXPECT_EQ(config->max_tokens_per_step, 512);
  EXPECT_EQ(config->max_queue, 512);
  EXPECT_EQ(config->drain_timeout, absl::Seconds(30));
}

TEST(ServerConfigTest, EveryFlagIsReadAndAppearsInTheHelp) {
  const auto config = Parse({"--model=m",
                             "--model-name=n",
                             "--max-model-len=2048",
                             "--host=::1",
                             "--port=1",
                             "--admin-port=2",
                             "--grpc-port=3",
                             "--weights=int4",
                             "--activations=f32",
                             "--kv=k8v4",
                             "--pin-dtype=bf16",
                             "--system-prompt=a b",
                             "--runtime-pins",
                             "--pin-budget-bytes=3M",
                             "--prefix-cache=off",
                             "--kv-pool-bytes",
                             "2G",
                             "--max-running=4",
                             "--max-tokens-per-step=64",
                             "--max-queue=9",
                             "--threads=3",
                             "--request-timeout=7",
                             "--drain-timeout=0"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->model_name, "n");
  EXPECT_EQ(config->max_model_len, 2048);
  EXPECT_EQ(config->host, "::1");
  EXPECT_EQ(config->port, 1);
  EXPECT_EQ(config->admin_port, 2);
  EXPECT_EQ(config->grpc_port, 3);
  EXPECT_EQ(config->weights, WeightsMode::kInt4);
  EXPECT_EQ(config->activations, ActivationsMode::kF32);
  EXPECT_EQ(config->kv, KvMode::kK8v4);
  EXPECT_EQ(config->pin_dtype, PinDtype::kBf16);
  EXPECT_THAT(config->system_prompts, ElementsAre("a b"));
  EXPECT_TRUE(config->runtime_pins);
  EXPECT_EQ(config->pin_budget_bytes, 3 << 20);
  EXPECT_FALSE(config->prefix_cache);
  EXPECT_EQ(config->kv_pool_bytes, int64_t{2} << 30);
  EXPECT_EQ(config->max_running, 4);
  EXPECT_EQ(config->max_tokens_per_step, 64);
  EXPECT_EQ(config->max_queue, 9);
  EXPECT_EQ(config->threads, 3);
  EXPECT_EQ(config->request_timeout, absl::Seconds(7));
  EXPECT_EQ(config->drain_timeout, absl::ZeroDuration());
  for (const FlagSpec& flag : FlagTable()) {
    EXPECT_THAT(HelpText(), HasSubstr("--" + std::string(flag.name)));
  }
}

TEST(ServerConfigTest, FlagBeatsEnvironmentBeatsDefault) {
  const Environment env = {{"INTACTKV_PORT", "1234"},
                           {"INTACTKV_KV", "f32"},
                           {"INTACTKV_NO_PIN", "on"},
                           {"INTACTKV_RUNTIME_PINS", "off"}};
  const auto config = Parse({"--model=m", "--port=0"}, env);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->port, 0);
  EXPECT_EQ(config->kv, KvMode::kF32);
  EXPECT_FALSE(config->pin);
  EXPECT_FALSE(config->runtime_pins);
  EXPECT_EQ(config->max_running, 16);
}

TEST(ServerConfigTest, SystemPromptsKeepTheOrderOfTheCommandLineAcrossBothFlags) {
  const std::string path = ::testing::TempDir() + "/prompt.txt";
  std::ofstream(path) << "from a file\n";
  const auto config = Parse({"--model=m", "--system-prompt-file", path, "--system-prompt", "inline",
                             "--system-prompt-file=" + path},
                            {{"INTACTKV_SYSTEM_PROMPT", "not used"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->system_prompts, ElementsAre("from a file", "inline", "from a file"));
  std::remove(path.c_str());
}

TEST(ServerConfigTest, AKvTableIsReadFromItsFile) {
  const std::string path = ::testing::TempDir() + "/kv_table.txt";
  std::ofstream(path) << "0-2 int8\n3 bf16\n";
  const auto config = Parse({"--model=m", "--kv-table", path});
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->kv_table.rows.size(), 2u);
  EXPECT_EQ(config->kv_table.path, path);
  EXPECT_EQ(config->kv_table.rows[1].format, KvMode::kBf16);
  EXPECT_EQ(ErrorOf({"--kv-table", path, "--kv=auto"}), "");
  EXPECT_EQ(ErrorOf({"--kv-table", path, "--kv=int8"}),
            "--kv-table contradicts --kv int8: leave one of them out");
  EXPECT_THAT(ErrorOf({"--kv-table", path}, {{"INTACTKV_KV", "f32"}}), HasSubstr("--kv f32"));
  std::ofstream(path) << "0 int8\n1 int3\n";
  EXPECT_THAT(ErrorOf({"--kv-table", path}), HasSubstr("--kv-table: " + path + ":2: 'int3'"));
  std::ofstream(path) << std::string((1 << 20) + 1, '#');
  EXPECT_THAT(ErrorOf({"--kv-table", path}), HasSubstr("larger than 1 MiB"));
  std::remove(path.c_str());
  EXPECT_THAT(ErrorOf({"--kv-table", path}), HasSubstr("--kv-table: cannot read"));
}

TEST(ServerConfigTest, ErrorsNameTheFlagAndSayWhatToGive) {
  const auto no_model = Parse({});
  ASSERT_FALSE(no_model.ok());
  EXPECT_THAT(std::string(ToStd(no_model.status().message())), HasSubstr("--model"));
  EXPECT_THAT(ErrorOf({"--kv=int3"}),
              HasSubstr("--kv: 'int3' is not one of auto, f32, bf16, int8, k8v4, int4"));
  EXPECT_THAT(ErrorOf({"--port=65536"}), HasSubstr("--port: '65536'"));
  EXPECT_EQ(ErrorOf({"--port=65535"}), "");
  EXPECT_THAT(ErrorOf({"--port=-1"}), HasSubstr("0 to 65535"));
  EXPECT_THAT(ErrorOf({"--max-running=0"}), HasSubstr("--max-running"));
  EXPECT_THAT(ErrorOf({"--max-running=2x"}), HasSubstr("--max-running"));
  EXPECT_THAT(ErrorOf({"--prot=1"}), HasSubstr("prot"));
  EXPECT_THAT(ErrorOf({"--max-runn=1"}), HasSubstr("max-runn"));
  EXPECT_THAT(ErrorOf({"--port"}), HasSubstr("port"));
  EXPECT_THAT(ErrorOf({"--no-pin=x"}), HasSubstr("no-pin"));
  EXPECT_THAT(ErrorOf({"file.gguf"}), HasSubstr("only flags"));
  EXPECT_THAT(ErrorOf({"--port=1", "--port=2"}), HasSubstr("given 2 times"));
  EXPECT_THAT(ErrorOf({"--port=7", "--admin-port=7"}), HasSubstr("must differ"));
  EXPECT_EQ(ErrorOf({"--port=0", "--admin-port=0", "--grpc-port=0"}), "");
  EXPECT_THAT(ErrorOf({"--max-tokens-per-step=15"}), HasSubstr("--max-running (16)"));
  EXPECT_EQ(ErrorOf({"--max-tokens-per-step=16"}), "");
  EXPECT_THAT(ErrorOf({"--no-pin", "--system-prompt=x"}), HasSubstr("contradicts"));
  EXPECT_THAT(ErrorOf({"--system-prompt-file=/nowhere/x"}), HasSubstr("--system-prompt-file"));
  EXPECT_THAT(ErrorOf({}, {{"INTACTKV_PORT", "x"}}), HasSubstr("INTACTKV_PORT"));
  EXPECT_THAT(ErrorOf({}, {{"INTACTKV_NO_PIN", "maybe"}}), HasSubstr("INTACTKV_NO_PIN"));
}

TEST(ServerConfigTest, SizesAreBinaryAndNeverOverflow) {
  const auto size = [](std::string_view text) { return ParseSize(text).value_or(-1); };
  EXPECT_EQ(size("0"), 0);
  EXPECT_EQ(size("1048576"), 1048576);
  EXPECT_EQ(size("512M"), 512 << 20);
  EXPECT_EQ(size("2g"), int64_t{2} << 30);
  EXPECT_EQ(size("4KiB"), 4096);
  EXPECT_EQ(size("4MB"), 4 << 20);
  EXPECT_EQ(size("8388607T"), int64_t{8388607} << 40);
  for (const char* bad : {"", "M", "-1", "1.5G", "1X", "1Mi", "8388608T", "9223372036854775808"}) {
    EXPECT_EQ(size(bad), -1) << bad;
  }
}

}  // namespace
}  // namespace intactkv
