// An audit waits for the engine; the probes beside it do not.
#include <gmock/gmock.h>

#include "tests/unit/server/load/load_fixture.h"

namespace intactkv::test {
namespace {

using ::testing::HasSubstr;

// Its audit waits for a step that does not end before Release.
class HungEngine : public FakeEngine {
 public:
  absl::StatusOr<AuditReport> Audit() override {
    std::unique_lock<std::mutex> lock(mutex_);
    ++begun_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return released_; });
    return FakeEngine::Audit();
  }
  void AwaitAudit() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return begun_ > 0; });
  }
  void Release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int begun_ = 0;
  bool released_ = false;
};

TEST(AuditTest, ProbesAreAnsweredBesideAnAuditThatWaits) {
  HungEngine engine;
  const FakeTextCodec codec;
  ServerContext context;
  context.Publish({.engine = &engine, .codec = &codec, .model = {.name = "m"}});
  Router router;
  AddAdminRoutes(router, context, {});
  HttpServer server({}, std::move(router));  // two threads
  ASSERT_TRUE(server.Start().ok());
  const auto get = [](const std::string& path) {
    return "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n";
  };
  RawHttpClient first(server.port()), second(server.port());
  first.Send(get("/admin/kv/audit"));
  engine.AwaitAudit();
  second.Send(get("/admin/kv/audit"));
  const RawAnswer refused = second.Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.Header("Retry-After"), "1");
  EXPECT_THAT(refused.body, HasSubstr("audit_running"));
  for (const char* probe : {"/livez", "/readyz"}) {
    second.Send(get(probe));
    EXPECT_EQ(second.Read().status, 200) << probe;
  }
  engine.Release();
  EXPECT_EQ(first.Read().status, 200);
  second.Send(get("/admin/kv/audit"));
  EXPECT_EQ(second.Read().status, 200);
}

}  // namespace
}  // namespace intactkv::test
