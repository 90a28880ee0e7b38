// The C++ client of IntactKV Server: the calls of proto/intactkv/v1 with absl::Status and RAII.
//
//   intactkv::Client client("127.0.0.1:8082");
//   intactkv::v1::GenerateRequest request;
//   request.set_prompt("The sea is");
//   intactkv::TextStream stream = client.Generate(request);
//   while (const auto message = stream.Next()) std::cout << message->text();
//   absl::Status status = stream.Finish();
//
// Link intactkv::client. docs/clients/example.cc shows deadlines, cancellation and errors.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "intactkv/v1/intactkv.pb.h"

namespace intactkv {

struct CallOptions {
  absl::Duration timeout = absl::InfiniteDuration();  // then kDeadlineExceeded
};

// Of an error that the server gave: REST's error code ("invalid_value") and the field at fault
// ("temperature"); "" if it named none.
std::string ErrorCode(const absl::Status& status);
std::string ErrorParam(const absl::Status& status);

// One running Generate call. Destroying it cancels what still runs. Next and Finish belong to one
// thread; Cancel is Thread-safe.
class TextStream {
 public:
  ~TextStream();
  TextStream(TextStream&&) noexcept;
  TextStream& operator=(TextStream&&) noexcept;

  // Waits for the next message; nullopt: none follows, and Finish says why.
  std::optional<v1::GenerateResponse> Next();
  // What is left is thrown away. The same answer each time.
  absl::Status Finish();
  // The call ends with kCancelled, the sequence on the server with it.
  void Cancel();

 private:
  friend class Client;
  struct Call;
  explicit TextStream(std::unique_ptr<Call> call);
  std::unique_ptr<Call> call_;
};

// Thread-safe. Connects when it is first used, and again when it must; kUnavailable: it cannot.
class Client {
 public:
  explicit Client(const std::string& address);  // "127.0.0.1:8082"; no TLS
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  TextStream Generate(const v1::GenerateRequest& request, CallOptions options = {});
  absl::StatusOr<v1::GenerateUnaryResponse> GenerateUnary(const v1::GenerateRequest& request,
                                                          CallOptions options = {});
  // kNotFound: no call of this id runs.
  absl::Status Abort(const std::string& request_id, CallOptions options = {});
  absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request,
                                                CallOptions options = {});
  absl::StatusOr<v1::DetokenizeResponse> Detokenize(const v1::DetokenizeRequest& request,
                                                    CallOptions options = {});
  absl::StatusOr<v1::ServerInfo> GetServerInfo(CallOptions options = {});

 private:
  struct Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace intactkv
