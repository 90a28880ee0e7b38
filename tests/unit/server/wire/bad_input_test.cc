// Every route with every kind of bad input, over real sockets and a real engine. While each is
// sent, another client's answer is being generated; after it the canary is token-exact, on the same
// connection where that is still open, and all pages are back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <map>
#include <set>

#include "tests/unit/server/wire/bad_inputs.h"
#include "tests/unit/server/wire/wire_server.h"

namespace intactkv::test {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;

std::string TextOrEmpty(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr) return "(absent)";
  return value->is_string() ? std::string(value->get_string().c_str()) : "";
}

// OpenAI's error object, all four fields there.
void ExpectError(const BadInput& row, const RawAnswer& answer) {
  EXPECT_EQ(answer.status, row.status);
  EXPECT_EQ(answer.Header("Content-Type"), "application/json");
  EXPECT_EQ(answer.Header("Allow"), row.allow);
  json::error_code fault;
  const json::value body = json::parse(answer.body, fault);
  ASSERT_FALSE(fault) << answer.body;
  const json::value* error = body.is_object() ? body.get_object().if_contains("error") : nullptr;
  ASSERT_TRUE(error != nullptr && error->is_object()) << answer.body;
  const json::object& object = error->get_object();
  EXPECT_EQ(object.size(), 4u);
  EXPECT_EQ(TextOrEmpty(object, "type"), "invalid_request_error");
  EXPECT_EQ(TextOrEmpty(object, "code"), row.code) << answer.body;
  EXPECT_EQ(TextOrEmpty(object, "param"), row.param) << answer.body;
  EXPECT_GT(TextOrEmpty(object, "message").size(), 10u);
  EXPECT_LT(answer.body.size(), 600u) << "an error repeats nothing of what was sent";
}

// Answers that leave nothing of the stream to trust.
bool EndsConnection(const RawAnswer& answer) { return answer.Header("Connection") == "close"; }

void CheckRow(WireServer& server, const BadInput& row, uint16_t port) {
  SCOPED_TRACE(row.name + " (" + Name(row.fault) + ")");
  WireServer::Bystander bystander(server);
  RawHttpClient client(port);
  client.Send(row.request);
  const RawAnswer answer = client.Read();
  ExpectError(row, answer);
  bystander.ExpectUnharmed();
  const bool same_listener = port == server.api_port();
  const bool open = !EndsConnection(answer);
  server.ExpectUnharmed(open && same_listener ? &client : nullptr);
  if (!open) {
    client.FinishSending();
    EXPECT_TRUE(client.AtEnd());
  }
}

class BadInputTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = new WireServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  void CheckAll(const std::vector<BadInput>& rows, size_t at_least, bool is_admin = false) {
    EXPECT_GE(rows.size(), at_least);
    for (const BadInput& row : rows) {
      CheckRow(*server_, row, is_admin ? server_->admin_port() : server_->api_port());
      if (HasFatalFailure()) return;
    }
  }
  static WireServer* server_;
};
WireServer* BadInputTest::server_ = nullptr;

TEST_F(BadInputTest, ApiRoutesRefuseWhatIsNoRequestOfTheirs) {
  for (const Router::Route& route : server_->api_router().routes()) {
    CheckAll(RouteRows(server_->api_router(), route), route.method == "POST" ? 50 : 15);
  }
}

TEST_F(BadInputTest, AdminRoutesRefuseWhatIsNoRequestOfTheirs) {
  for (const Router::Route& route : server_->admin_router().routes()) {
    CheckAll(RouteRows(server_->admin_router(), route), 15, /*is_admin=*/true);
  }
}

TEST_F(BadInputTest, GenerationFieldsAreCheckedAndNamed) { CheckAll(GenerationRows(), 300); }

TEST_F(BadInputTest, TextFieldsAreCheckedAndNamed) { CheckAll(TextRows(), 40); }

// A route without its rows fails here, so a new one cannot be forgotten.
TEST_F(BadInputTest, EveryRouteHasEveryKindOfFaultThatItCanMeet) {
  const auto check = [](const Router& router, std::vector<BadInput> rows) {
    std::map<std::string, std::set<Fault>> seen;
    for (const Router::Route& route : router.routes()) {
      for (BadInput& row : RouteRows(router, route)) rows.push_back(std::move(row));
    }
    for (const BadInput& row : rows) seen[row.route].insert(row.fault);
    for (const Router::Route& route : router.routes()) {
      for (const Fault fault : FaultsOf(route)) {
        EXPECT_EQ(seen[NameOf(route)].count(fault), 1u) << NameOf(route) << ": " << Name(fault);
      }
    }
    EXPECT_EQ(seen.size(), router.routes().size()) << "rows of routes that are not there";
  };
  std::vector<BadInput> rows = GenerationRows();
  for (BadInput& row : TextRows()) rows.push_back(std::move(row));
  check(server_->api_router(), rows);
  check(server_->admin_router(), {});
  EXPECT_GE(server_->api_router().routes().size(), 9u);
  EXPECT_GE(server_->admin_router().routes().size(), 6u);
}

// The rows break one thing each: unbroken, the same requests are answered.
TEST_F(BadInputTest, TheRequestsThatTheRowsBreakAreGood) {
  for (const Router::Route& route : server_->api_router().routes()) {
    SCOPED_TRACE(NameOf(route));
    RawHttpClient client(server_->api_port());
    if (route.method == "POST") {
      client.Send(PostRequest(route.path, ToJson(GoodBody(route.path))));
    } else {
      client.Send("GET " + route.path + (route.is_prefix ? kWireModel : "") +
                  " HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    EXPECT_EQ(client.Read().status, 200);
  }
}

}  // namespace
}  // namespace intactkv::test
