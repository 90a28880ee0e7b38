// Start with each --kv and with a --kv-table: the pages that are reserved and the lines that say
// so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "server/main/serving_stack.h"
#include "tests/support/tiny_model.h"

namespace intactkv {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class FinishSink : public TokenSink {
 public:
  FinishSink(std::vector<TokenId>* ids, Notification* done) : ids_(ids), done_(done) {}
  void OnTokens(std::vector<TokenEvent> events) override {
    for (const TokenEvent& event : events) ids_->push_back(event.token.token);
  }
  void OnFinish(const FinishInfo& info) override {
    EXPECT_TRUE(info.status.ok()) << info.status;
    EXPECT_GT(info.usage.pinned_tokens, 0);
    done_->Notify();
  }

 private:
  std::vector<TokenId>* const ids_;
  Notification* const done_;
};

// Two layers with two KV heads of 64.
class KvFormatsAtStartTest : public ::testing::Test {
 protected:
  void TearDown() override {
    std::remove(model_.c_str());
    std::remove(table_.c_str());
  }
  void WriteTable(const char* text) { std::ofstream(table_) << text; }
  absl::Status Start(std::vector<std::string> flags, const std::string& architecture = "llama") {
    test::WriteTinyModel(model_, {.architecture = architecture});
    flags.insert(flags.end(),
                 {"--model", model_, "--kv-pool-bytes", "1M", "--threads", "1", "--max-running",
                  "2", "--max-tokens-per-step", "64", "--max-model-len", "256"});
    ASSIGN_OR_RETURN(const ServerConfig config,
                     ParseServeFlags(flags, [](const std::string&) { return std::nullopt; }));
    lines_.clear();
    StackHooks hooks;
    hooks.print = [this](const std::string& line) { lines_.push_back(line); };
    ASSIGN_OR_RETURN(stack_, ServingStack::Build(config, hooks));
    return absl::OkStatus();
  }
  int64_t BytesPerToken() const { return stack_->plan().stored.page_bytes / kPageTokens; }
  // Behind the pin more than two pages of prompt, so that stored ones are read.
  std::vector<TokenId> Answer() {
    GenerationRequest request;
    request.prompt = stack_->codec().SystemPrefix(nullptr).value();
    for (int i = 0; i < 80; ++i) request.prompt.emplace_back(50 + i);
    request.max_new_tokens = 4;
    request.ignore_eos = true;
    request.sampling.temperature = 0;
    std::vector<TokenId> ids;
    Notification done;
    stack_->engine().Start();
    const auto handle =
        stack_->engine().Submit(std::move(request), std::make_unique<FinishSink>(&ids, &done));
    EXPECT_TRUE(handle.ok()) << handle.status();
    if (handle.ok()) done.WaitForNotification();
    stack_->engine().Stop();
    return ids;
  }

  // Cases run side by side, each in a process of its own.
  const std::string base_ =
      ::testing::TempDir() + "/kv_formats_at_start_" + std::to_string(::getpid());
  const std::string model_ = base_ + ".gguf";
  const std::string table_ = base_ + ".txt";
  std::unique_ptr<ServingStack> stack_;
  std::vector<std::string> lines_;
};

TEST_F(KvFormatsAtStartTest, EachWordReservesItsPages) {
  for (const auto& [word, bytes] : std::initializer_list<std::pair<const char*, int64_t>>{
           {"f32", 512}, {"bf16", 256}, {"int8", 140}, {"k8v4", 108}, {"int4", 76}}) {
    ASSERT_TRUE(Start({"--kv", word}).ok()) << word;
    EXPECT_EQ(BytesPerToken(), 2 * 2 * bytes) << word;
    const std::string name(word);
    EXPECT_THAT(lines_, Contains("stored KV pages " + name + " (--kv " + name + ")"));
    EXPECT_EQ(Answer().size(), 4u) << word;
  }
}

TEST_F(KvFormatsAtStartTest, TheDefaultIsChosenByTheFamily) {
  ASSERT_TRUE(Start({}).ok());
  EXPECT_EQ(BytesPerToken(), 2 * 2 * 140);
  EXPECT_THAT(lines_, Contains(StartsWith("stored KV pages int8 (--kv auto for llama: mean KL ")));
  EXPECT_THAT(lines_, Not(Contains(HasSubstr("warning"))));
}

TEST_F(KvFormatsAtStartTest, ATableGivesEachLayerItsFormat) {
  WriteTable("0 bf16\n1 k8v4  # the last\n");
  ASSERT_TRUE(Start({"--kv-table", table_}).ok());
  EXPECT_EQ(BytesPerToken(), 2 * (256 + 108));
  EXPECT_THAT(lines_, Contains("stored KV pages 0 bf16, 1 k8v4 (--kv-table " + table_ + ")"));
  EXPECT_THAT(lines_, Contains(HasSubstr(std::to_string(32 * BytesPerToken()) + " bytes each")));
  EXPECT_THAT(lines_, Contains(StartsWith("kernel attention stored bf16")));
  EXPECT_THAT(lines_, Contains(StartsWith("kernel attention stored k8v4")));
  EXPECT_EQ(Answer().size(), 4u);
}

TEST_F(KvFormatsAtStartTest, ATableForMoreLayersIsRefused) {
  WriteTable("0-2 int8\n");
  const absl::Status status = Start({"--kv-table", table_});
  EXPECT_EQ(std::string(ToStd(status.message())),
            "--kv-table: " + table_ + ":1: layer 2: the model's layers are 0-1");
}

TEST_F(KvFormatsAtStartTest, AFormatAgainstTheFamilyIsWarnedOf) {
  ASSERT_TRUE(Start({"--kv", "int4"}, "qwen2").ok());
  EXPECT_THAT(lines_, Contains(StartsWith("warning: stored KV pages in int4: mean KL 0.00431")));
  ASSERT_TRUE(Start({"--kv", "k8v4"}, "qwen2").ok());
  EXPECT_THAT(lines_, Not(Contains(HasSubstr("warning"))));
}

TEST_F(KvFormatsAtStartTest, PinsInBfloat16TakeHalfTheBytes) {
  ASSERT_TRUE(Start({"--pin-dtype", "bf16"}).ok());
  EXPECT_EQ(stack_->plan().pinned.page_bytes / kPageTokens, 2 * 2 * 256);
  EXPECT_GT(stack_->plan().pinned.num_pages, 0);
  EXPECT_THAT(lines_, Contains(StartsWith("kernel attention pinned bf16")));
  EXPECT_EQ(Answer().size(), 4u);
}

}  // namespace
}  // namespace intactkv
