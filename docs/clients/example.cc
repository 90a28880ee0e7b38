// Calls a running IntactKV Server from C++: streaming, unary, cancel, deadline, errors.
//
//   cmake --build build/release --target intactkv_client_example
//   build/release/bin/intactkv_client_example 127.0.0.1:8082
#include <iostream>
#include <string>

#include "proto/client/intactkv_client.h"

namespace {

using intactkv::Client;
using intactkv::v1::GenerateRequest;

GenerateRequest Ask(const std::string& question) {
  GenerateRequest request;
  auto* message = request.add_messages();
  message->set_role("user");
  message->set_content(question);
  request.set_temperature(0);
  request.set_max_tokens(24);
  return request;
}

// So long that the examples below end it before it ends itself.
GenerateRequest Endless() {
  GenerateRequest request = Ask("Count upwards from one, in words.");
  request.set_max_tokens(1500);
  request.set_ignore_eos(true);
  return request;
}

absl::Status Stream(Client& client) {
  intactkv::TextStream stream = client.Generate(Ask("Name the capital of France."));
  std::cout << "streamed: ";
  while (const auto message = stream.Next()) std::cout << message->text() << std::flush;
  std::cout << "\n";
  return stream.Finish();  // OK only if everything came
}

absl::Status Whole(Client& client) {
  const auto answer = client.GenerateUnary(Ask("Name the capital of France."));
  if (!answer.ok()) return answer.status();
  std::cout << "whole: " << answer->choices(0).text() << "\n"
            << "tokens: " << answer->usage().completion_tokens() << "\n";
  return absl::OkStatus();
}

// The caller's own stream, or any call by its id.
absl::Status CancelAndAbort(Client& client) {
  intactkv::TextStream mine = client.Generate(Endless());
  (void)mine.Next();
  mine.Cancel();
  std::cout << "cancelled: " << mine.Finish().code() << "\n";

  GenerateRequest request = Endless();
  request.set_request_id("example-1");
  intactkv::TextStream other = client.Generate(request);
  (void)other.Next();  // it runs
  if (absl::Status status = client.Abort("example-1"); !status.ok()) return status;
  std::cout << "aborted: " << other.Finish().code() << "\n";
  return absl::OkStatus();
}

void Deadline(Client& client) {
  const auto answer = client.GenerateUnary(Endless(), {.timeout = absl::Milliseconds(200)});
  std::cout << "deadline: " << answer.status().code() << "\n";
}

void Errors(Client& client) {
  GenerateRequest request = Ask("Hello");
  request.set_temperature(-1);
  const absl::Status status = client.GenerateUnary(request).status();
  std::cout << "error: " << status.code() << " " << intactkv::ErrorCode(status) << " in "
            << intactkv::ErrorParam(status) << ": " << status.message() << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  Client client(argc > 1 ? argv[1] : "127.0.0.1:8082");
  const auto info = client.GetServerInfo();
  if (!info.ok()) {
    std::cerr << info.status() << "\n";
    return 1;
  }
  std::cout << "model: " << info->model().id() << "\n";
  for (const auto example : {Stream, Whole, CancelAndAbort}) {
    if (const absl::Status status = example(client); !status.ok()) {
      std::cerr << status << "\n";
      return 1;
    }
  }
  Deadline(client);
  Errors(client);
  return 0;
}
