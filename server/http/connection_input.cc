#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "server/http/connection.h"
#include "server/http/error_response.h"
#include "server/http/head_parser.h"
#include "server/http/response_head.h"

namespace intactkv {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr size_t kReadBytes = 16 << 10;
// How much of later, pipelined requests is taken in while one is being answered.
constexpr size_t kMaxReadAhead = 32 << 10;

std::string_view CodeFor(int status) {
  switch (status) {
    case 408:
      return "request_timeout";
    case 413:
      return "request_too_large";
    case 414:
      return "uri_too_long";
    case 415:
      return "unsupported_media_type";
    case 417:
      return "expectation_failed";
    case 431:
      return "headers_too_large";
    case 505:
      return "http_version_not_supported";
    default:
      return "malformed_request";
  }
}

}  // namespace

void Connection::BeginHead() {
  phase_ = Phase::kHead;
  scanned_ = 0;
  head_timed_ = false;
  if (in_.empty() && (host_.stopping() || peer_finished_)) return Close();
  SetDeadline(host_.options().keep_alive_idle);
  ProcessInput();
  WaitReadable();
}

void Connection::WaitReadable() {
  const bool answering = phase_ == Phase::kAnswer || phase_ == Phase::kFlush;
  if (reading_ || peer_finished_ || phase_ == Phase::kClosed) return;
  if (answering && in_.size() >= kMaxReadAhead) return;
  reading_ = true;
  // Waits without a buffer: an idle connection costs no read buffer.
  socket_.async_wait(tcp::socket::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->reading_ = false;
                       if (self->phase_ == Phase::kClosed) return;
                       if (error) return self->OnPeerGone();
                       self->OnReadable();
                     });
}

void Connection::OnReadable() {
  char buffer[kReadBytes];
  boost::system::error_code error;
  const size_t n = socket_.read_some(asio::buffer(buffer), error);
  if (error == asio::error::would_block || error == asio::error::try_again) return WaitReadable();
  if (error) return OnPeerGone();
  if (phase_ != Phase::kLinger) {
    in_.append(buffer, n);
    ProcessInput();
  }
  WaitReadable();
}

void Connection::OnPeerGone() {
  peer_finished_ = true;
  // A client that only closed its sending side still gets a complete answer, and one that is made
  // in a moment: whoever makes a long one asks to be told (SetOnAbort).
  if (phase_ == Phase::kFlush) return;
  const auto exchange = exchange_.lock();
  if (phase_ == Phase::kAnswer && exchange != nullptr && exchange->on_abort_ == nullptr) return;
  Close();
}

void Connection::ProcessInput() {
  if (phase_ == Phase::kHead && !ReadHead()) return;
  if (phase_ == Phase::kBody && !ReadBody()) return;
}

bool Connection::ReadHead() {
  if (in_.empty()) return false;
  if (!head_timed_) {
    head_timed_ = true;
    SetDeadline(host_.options().head_deadline);
  }
  const FramingLimits& limits = host_.options().limits;
  const std::optional<size_t> end = FindHeadEnd(in_, scanned_);
  if (!end.has_value()) {
    const auto fault = CheckPartialHead(in_, scanned_, limits);
    scanned_ = in_.size();
    if (fault.has_value()) Fail(fault->status, fault->message);
    return false;
  }
  const std::string_view head = std::string_view(in_).substr(0, *end);
  const auto checked = CheckFraming(head, limits);
  if (const auto* fault = std::get_if<FramingError>(&checked)) {
    Fail(fault->status, fault->message);
    return false;
  }
  framing_ = std::get<Framing>(checked);
  std::optional<HttpRequest> request = ParseHead(head, limits);
  if (!request.has_value()) {
    Fail(400, "The request head is malformed.");
    return false;
  }
  request_ = std::move(*request);
  const std::string_view id = request_.Header("X-Request-Id");
  request_.request_id = IsGoodRequestId(id) ? std::string(id) : NewRequestId();
  in_.erase(0, *end);
  chunks_.reset();
  if (framing_.chunked) chunks_.emplace(limits.body_bytes);
  // Before a byte of it is asked for or read.
  if (!body_share_.TryGrowTo(framing_.content_length)) {
    FailOverloaded();
    return false;
  }
  if (framing_.expect_continue && in_.empty() &&
      (framing_.chunked || framing_.content_length > 0)) {
    out_ += "HTTP/1.1 100 Continue\r\n\r\n";
    Flush();
  }
  phase_ = Phase::kBody;
  body_begin_ = Clock::now();
  CheckBodyPace();
  return true;
}

bool Connection::ReadBody() {
  if (chunks_.has_value()) {
    size_t used = 0;
    const ChunkedBody::Result result = chunks_->Feed(in_, used, request_.body);
    in_.erase(0, used);
    if (!body_share_.TryGrowTo(request_.body.size())) {
      FailOverloaded();
      return false;
    }
    if (result == ChunkedBody::Result::kTooLarge) {
      Fail(413, "The request body is too large.");
    } else if (result == ChunkedBody::Result::kMalformed) {
      Fail(400, "The chunked body is malformed.");
    }
    if (result != ChunkedBody::Result::kDone) return false;
  } else {
    const size_t take = std::min(framing_.content_length - request_.body.size(), in_.size());
    request_.body.append(in_, 0, take);
    in_.erase(0, take);
    if (request_.body.size() < framing_.content_length) return false;
  }
  Dispatch();
  return true;
}

void Connection::Dispatch() {
  phase_ = Phase::kAnswer;
  ClearDeadline();
  head_only_ = request_.method == "HEAD";
  stream_begun_ = false;
  close_after_ = !framing_.keep_alive || host_.stopping();
  auto exchange = std::make_shared<ConnectionExchange>(shared_from_this(), std::move(request_),
                                                       std::move(body_share_));
  request_ = HttpRequest();
  exchange_ = exchange;
  host_.router().Dispatch(std::move(exchange));
}

void Connection::Fail(int status, std::string_view message) {
  FailWith({.status = status, .code = CodeFor(status), .message = message});
}

void Connection::FailOverloaded() {
  FailWith({.status = 503,
            .type = "server_error",
            .code = "overloaded",
            .message = "Too many request bodies are being read. Try again after Retry-After.",
            .retry_after_seconds = 1});
}

void Connection::FailWith(const HttpError& error) {
  const HttpResponse response = ErrorResponse(error);
  body_share_.Clear();
  request_.body = std::string();
  close_after_ = true;
  head_only_ = false;
  in_.clear();
  ClearDeadline();
  out_ += RenderHead({.status = error.status,
                      .content_type = response.content_type,
                      .request_id = NewRequestId(),
                      .content_length = response.body.size(),
                      .close = true},
                     response.headers);
  out_ += response.body;
  BeginFlush();
}

void Connection::SetDeadline(absl::Duration from_now) {
  deadline_.expires_after(absl::ToChronoNanoseconds(from_now));
  deadline_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    // A handler that was queued when the deadline moved has nothing to say.
    if (error || self->deadline_.expiry() > Clock::now()) return;
    self->OnDeadline();
  });
}

void Connection::ClearDeadline() { deadline_.expires_at(Clock::time_point::max()); }

void Connection::OnDeadline() {
  switch (phase_) {
    case Phase::kHead:
      if (in_.empty()) return Close();
      return Fail(408, "The request head took too long.");
    case Phase::kBody:
      return CheckBodyPace();
    case Phase::kFlush:
      return DropReader();
    case Phase::kLinger:
      return Close();
    default:
      return;
  }
}

void Connection::CheckBodyPace() {
  const HttpServerOptions& options = host_.options();
  const absl::Duration elapsed = absl::FromChrono(Clock::now() - body_begin_);
  const double paced_seconds = absl::ToDoubleSeconds(elapsed - options.min_rate_grace);
  const auto received = static_cast<double>(request_.body.size());
  if (elapsed >= options.body_deadline || received < paced_seconds * options.min_bytes_per_second) {
    return Fail(408, "The request body took too long.");
  }
  const absl::Duration pause =
      elapsed < options.min_rate_grace ? options.min_rate_grace - elapsed : absl::Seconds(1);
  SetDeadline(std::min(pause, options.body_deadline - elapsed));
}

}  // namespace intactkv
