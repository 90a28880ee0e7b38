#include "server/http/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <cstdio>
#include <utility>

#include "server/http/error_response.h"
#include "server/http/response_head.h"

namespace intactkv {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

}  // namespace

Connection::Connection(tcp::socket socket, ConnectionHost& host)
    : host_(host),
      socket_(std::move(socket)),
      deadline_(socket_.get_executor()),
      send_timer_(socket_.get_executor()),
      body_share_(host.body_budget()) {}

void Connection::Start() {
  boost::system::error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  BeginHead();
}

void Connection::OnServerStopping() {
  if (phase_ == Phase::kHead && in_.empty()) Close();
}

void Connection::Abort() { Close(); }

void Connection::SendResponse(HttpResponse response) {
  if (phase_ != Phase::kAnswer || stream_begun_) return;
  close_after_ = close_after_ || host_.stopping();
  out_ += RenderHead({.status = response.status,
                      .content_type = response.content_type,
                      .request_id = exchange_.lock()->request().request_id,
                      .content_length = response.body.size(),
                      .close = close_after_,
                      .keep_alive = framing_.http_1_0},
                     response.headers);
  if (!head_only_) out_ += response.body;
  CompleteAnswer();
}

void Connection::BeginStream(std::string_view content_type,
                             const std::vector<HttpHeader>& headers) {
  if (phase_ != Phase::kAnswer || stream_begun_) return;
  stream_begun_ = true;
  stream_chunked_ = !framing_.http_1_0;
  close_after_ = close_after_ || host_.stopping() || framing_.http_1_0;
  out_ += RenderHead({.status = 200,
                      .content_type = content_type,
                      .request_id = exchange_.lock()->request().request_id,
                      .content_length = std::nullopt,
                      .chunked = stream_chunked_,
                      .close = close_after_},
                     headers);
  Flush();
}

void Connection::WriteStream(std::string_view bytes) {
  if (phase_ != Phase::kAnswer || !stream_begun_ || head_only_ || bytes.empty()) return;
  if (stream_chunked_) {
    char size[24];
    std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
    out_ += size;
  }
  out_ += bytes;
  if (stream_chunked_) out_ += "\r\n";
  Flush();
}

void Connection::EndStream() {
  if (phase_ != Phase::kAnswer || !stream_begun_) return;
  if (stream_chunked_ && !head_only_) out_ += "0\r\n\r\n";
  CompleteAnswer();
}

void Connection::OnExchangeDropped() {
  // A newer exchange, or none expected: the drop is not about what the connection does now.
  if (phase_ != Phase::kAnswer || !exchange_.expired()) return;
  if (stream_begun_) return Close();  // the missing last chunk tells the client
  const HttpResponse response = ErrorResponse({.status = 500,
                                               .type = "server_error",
                                               .code = "server_error",
                                               .message = "The server gave no answer."});
  out_ += RenderHead({.status = 500,
                      .content_type = response.content_type,
                      .request_id = NewRequestId(),
                      .content_length = response.body.size(),
                      .close = close_after_},
                     response.headers);
  if (!head_only_) out_ += response.body;
  CompleteAnswer();
}

void Connection::CompleteAnswer() {
  DetachExchange(/*aborted=*/false);
  BeginFlush();
}

// From here on nothing holds the rest back but its reader, who must keep a minimum rate: without
// progress for a while it is dropped in any case, but a byte now and then is progress.
void Connection::BeginFlush() {
  phase_ = Phase::kFlush;
  const auto bytes = static_cast<double>(out_.size() + sending_.size() - sent_);
  const HttpServerOptions& options = host_.options();
  SetDeadline(options.send_stall + absl::Seconds(bytes / options.min_send_bytes_per_second));
  Flush();
}

void Connection::DropReader() {
  // Nothing of the answer stays in the kernel.
  boost::system::error_code ignored;
  socket_.set_option(tcp::socket::linger(true, 0), ignored);
  Close();
}

void Connection::Flush() {
  if (send_active_ || phase_ == Phase::kClosed) return;
  if (sent_ == sending_.size()) {
    if (out_.empty()) return;
    sending_.clear();
    sending_.swap(out_);
    sent_ = 0;
  }
  send_active_ = true;
  send_timer_.expires_after(absl::ToChronoNanoseconds(host_.options().send_stall));
  send_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || self->send_timer_.expiry() > std::chrono::steady_clock::now()) return;
    self->DropReader();
  });
  socket_.async_write_some(
      asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
      [self = shared_from_this()](const boost::system::error_code& error, size_t bytes) {
        self->OnSent(!error, bytes);
      });
}

void Connection::OnSent(bool ok, size_t bytes) {
  send_active_ = false;
  if (phase_ == Phase::kClosed) return;
  if (!ok) return Close();
  sent_ += bytes;
  if (sent_ < sending_.size() || !out_.empty()) return Flush();
  send_timer_.expires_at(std::chrono::steady_clock::time_point::max());
  if (phase_ == Phase::kFlush) return AnswerFlushed();
  if (const auto exchange = exchange_.lock(); exchange != nullptr && exchange->on_writable_) {
    const std::function<void()> on_writable = exchange->on_writable_;  // it may replace itself
    on_writable();
  }
}

void Connection::AnswerFlushed() {
  sending_ = std::string();  // an idle connection keeps no buffer
  sent_ = 0;
  if (!close_after_ && !(peer_finished_ && in_.empty())) return BeginHead();
  if (peer_finished_) return Close();
  // Closing with unread input would reset the connection and could destroy the answer on its way:
  // say that nothing more comes, and read on until the client closes too.
  boost::system::error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  phase_ = Phase::kLinger;
  in_ = std::string();
  SetDeadline(host_.options().close_linger);
  WaitReadable();
}

bool Connection::CanWrite() const {
  return out_.size() + (sending_.size() - sent_) < host_.options().send_buffer_bytes;
}

void Connection::Close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  const auto self = shared_from_this();  // Remove may drop the last other reference
  boost::system::error_code ignored;
  socket_.close(ignored);
  deadline_.cancel();
  send_timer_.cancel();
  body_share_.Clear();
  DetachExchange(/*aborted=*/true);
  host_.Remove(this);
}

void Connection::DetachExchange(bool aborted) {
  const auto exchange = exchange_.lock();
  exchange_.reset();
  if (exchange == nullptr) return;
  exchange->connection_.reset();
  exchange->on_writable_ = nullptr;
  const std::function<void()> on_abort = std::exchange(exchange->on_abort_, nullptr);
  if (aborted && on_abort) on_abort();
}

ConnectionExchange::~ConnectionExchange() {
  if (connection_ == nullptr) return;
  asio::post(executor_, [connection = connection_] { connection->OnExchangeDropped(); });
}

void ConnectionExchange::DropBody() {
  request_.body = std::string();
  body_share_.Clear();
}

void ConnectionExchange::Respond(HttpResponse response) {
  if (const auto connection = connection_) connection->SendResponse(std::move(response));
}

void ConnectionExchange::BeginStream(std::string_view content_type,
                                     std::vector<HttpHeader> headers) {
  if (const auto connection = connection_) connection->BeginStream(content_type, headers);
}

void ConnectionExchange::Write(std::string_view bytes) {
  if (const auto connection = connection_) connection->WriteStream(bytes);
}

bool ConnectionExchange::CanWrite() const {
  return connection_ != nullptr && connection_->CanWrite();
}

void ConnectionExchange::EndStream() {
  if (const auto connection = connection_) connection->EndStream();
}

void ConnectionExchange::SetOnWritable(std::function<void()> callback) {
  if (connection_ != nullptr) on_writable_ = std::move(callback);
}

void ConnectionExchange::SetOnAbort(std::function<void()> callback) {
  if (connection_ != nullptr) on_abort_ = std::move(callback);
}

std::function<void(std::function<void()>)> ConnectionExchange::Poster() const {
  return
      [executor = executor_](std::function<void()> task) { asio::post(executor, std::move(task)); };
}

}  // namespace intactkv
