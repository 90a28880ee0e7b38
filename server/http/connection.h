// One client connection: a state machine of Asio callbacks, all on one strand.
//
//   head -> body -> answer -> flush -> head (keep-alive) | linger -> closed
//
// Pipelined requests wait in the input buffer and are handled one after the other.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/byte_budget.h"
#include "server/http/chunked_body.h"
#include "server/http/error_response.h"
#include "server/http/exchange.h"
#include "server/http/framing.h"
#include "server/http/http_server.h"
#include "server/http/http_types.h"

namespace intactkv {

class Connection;
class ConnectionExchange;

// What a connection needs of its server. Thread-safe.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual const HttpServerOptions& options() const = 0;
  virtual const Router& router() const = 0;
  virtual bool stopping() const = 0;
  virtual const std::shared_ptr<ByteBudget>& body_budget() const = 0;
  virtual void Remove(Connection* connection) = 0;  // it is closed
};

// Kept alive by its pending callbacks and by the server's table. Every method but the constructor
// runs on socket's executor, a strand. Thread-compatible.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, ConnectionHost& host);
  void Start();
  void OnServerStopping();  // closes if idle
  void Abort();             // closes now
  boost::asio::any_io_executor executor() { return socket_.get_executor(); }

 private:
  friend class ConnectionExchange;
  enum class Phase : uint8_t { kHead, kBody, kAnswer, kFlush, kLinger, kClosed };

  // connection_input.cc: bytes -> request
  void BeginHead();
  void WaitReadable();
  void OnReadable();
  void OnPeerGone();
  void ProcessInput();
  bool ReadHead();  // false: incomplete or failed
  bool ReadBody();  // likewise
  void Dispatch();
  void Fail(int status, std::string_view message);
  void FailOverloaded();
  void FailWith(const HttpError& error);
  void SetDeadline(absl::Duration from_now);
  void ClearDeadline();
  void OnDeadline();
  void CheckBodyPace();

  // connection.cc: answer -> bytes
  void SendResponse(HttpResponse response);
  void BeginStream(std::string_view content_type, const std::vector<HttpHeader>& headers);
  void WriteStream(std::string_view bytes);
  void EndStream();
  void OnExchangeDropped();
  void CompleteAnswer();
  void BeginFlush();
  void DropReader();
  void Flush();
  void OnSent(bool ok, size_t bytes);
  void AnswerFlushed();
  bool CanWrite() const;
  void Close();
  void DetachExchange(bool aborted);

  ConnectionHost& host_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer send_timer_;
  Phase phase_ = Phase::kHead;

  std::string in_;
  size_t scanned_ = 0;  // of in_, while looking for the end of the head
  bool reading_ = false;
  bool peer_finished_ = false;  // the client will send nothing more
  bool head_timed_ = false;     // the head deadline runs, not the idle one
  Framing framing_;
  HttpRequest request_;
  ByteShare body_share_;  // of request_'s body, which is still being read
  std::optional<ChunkedBody> chunks_;
  std::chrono::steady_clock::time_point body_begin_;

  std::weak_ptr<ConnectionExchange> exchange_;
  bool head_only_ = false;  // the request is a HEAD
  bool stream_chunked_ = false;
  bool stream_begun_ = false;
  bool close_after_ = false;
  std::string out_;      // written, not yet handed to the kernel
  std::string sending_;  // being handed to the kernel
  size_t sent_ = 0;      // of sending_
  bool send_active_ = false;
};

// The handler's side of the request that its connection is at.
class ConnectionExchange : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, HttpRequest request,
                     ByteShare body_share)
      : connection_(std::move(connection)),
        executor_(connection_->executor()),
        request_(std::move(request)),
        body_share_(std::move(body_share)) {}
  ~ConnectionExchange() override;

  const HttpRequest& request() const override { return request_; }
  void DropBody() override;
  void Respond(HttpResponse response) override;
  void BeginStream(std::string_view content_type, std::vector<HttpHeader> headers) override;
  void Write(std::string_view bytes) override;
  bool CanWrite() const override;
  void EndStream() override;
  void SetOnWritable(std::function<void()> callback) override;
  void SetOnAbort(std::function<void()> callback) override;
  std::function<void(std::function<void()>)> Poster() const override;

 private:
  friend class Connection;
  std::shared_ptr<Connection> connection_;  // null once the answer is complete or the client left
  boost::asio::any_io_executor executor_;
  HttpRequest request_;
  ByteShare body_share_;
  std::function<void()> on_writable_;
  std::function<void()> on_abort_;
};

}  // namespace intactkv
