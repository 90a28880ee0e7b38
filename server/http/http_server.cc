#include "server/http/http_server.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/json_log.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "server/http/connection.h"
#include "server/http/error_response.h"
#include "server/http/host_port.h"
#include "server/http/response_head.h"

namespace intactkv {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

class HttpServer::Impl : public ConnectionHost {
 public:
  Impl(HttpServerOptions options, Router router)
      : options_(std::move(options)),
        router_(std::move(router)),
        body_budget_(std::make_shared<ByteBudget>(options_.body_budget_bytes)),
        acceptor_(asio::make_strand(io_)),
        retry_(acceptor_.get_executor()) {}

  absl::Status Start();
  void BeginStop();
  void Stop(absl::Time deadline);

  const HttpServerOptions& options() const override { return options_; }
  const Router& router() const override { return router_; }
  bool stopping() const override { return stopping_.load(); }
  const std::shared_ptr<ByteBudget>& body_budget() const override { return body_budget_; }
  void Remove(Connection* connection) override;

  uint16_t port() const { return port_; }
  uint64_t accept_failures() const { return accept_failures_.load(); }
  size_t num_connections() const {
    MutexLock lock(&mutex_);
    return connections_.size();
  }

 private:
  struct Entry {
    std::shared_ptr<Connection> connection;
    std::string source;
  };
  absl::Status Listen();
  void Accept();
  // Stays true until Admit: only the acceptor's strand adds connections.
  bool HasRoomFor(const std::string& source) const;
  void Admit(tcp::socket socket);
  void Refuse(tcp::socket socket);
  // Posts `method` to every connection's strand.
  void ForEach(void (Connection::*method)());
  void AwaitNoConnections(absl::Time deadline);

  const HttpServerOptions options_;
  const Router router_;
  const std::shared_ptr<ByteBudget> body_budget_;
  asio::io_context io_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> accept_failures_{0};
  uint16_t port_ = 0;

  mutable Mutex mutex_;
  CondVar none_left_;
  std::map<Connection*, Entry> connections_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, size_t> per_source_ ABSL_GUARDED_BY(mutex_);
};

absl::Status HttpServer::Impl::Listen() {
  boost::system::error_code error;
  tcp::resolver resolver(io_);
  const auto found =
      resolver.resolve(options_.host, std::to_string(options_.port), tcp::resolver::passive, error);
  const std::string address = HostPort(options_.host, options_.port);
  if (error || found.empty()) {
    return Unavailable("cannot resolve " + address + ": " + error.message());
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return Unavailable("cannot listen on " + address + ": " + error.message() +
                       "; choose another port, 0 takes a free one");
  }
  port_ = acceptor_.local_endpoint(error).port();
  return absl::OkStatus();
}

absl::Status HttpServer::Impl::Start() {
  RETURN_IF_ERROR(Listen());
  asio::post(acceptor_.get_executor(), [this] { Accept(); });
  for (int i = 0; i < options_.io_threads; ++i) {
    threads_.emplace_back([this] {
      const auto work = asio::make_work_guard(io_);
      io_.run();
    });
  }
  return absl::OkStatus();
}

void HttpServer::Impl::Accept() {
  acceptor_.async_accept(asio::make_strand(io_),
                         [this](const boost::system::error_code& error, tcp::socket socket) {
                           if (stopping()) return;
                           if (!error) {
                             Admit(std::move(socket));
                             return Accept();
                           }
                           // Out of descriptors or the like: the listener must survive it, and must
                           // not spin.
                           accept_failures_.fetch_add(1);
                           retry_.expires_after(absl::ToChronoNanoseconds(options_.accept_backoff));
                           retry_.async_wait([this](const boost::system::error_code& cancelled) {
                             if (!cancelled && !stopping()) Accept();
                           });
                         });
}

bool HttpServer::Impl::HasRoomFor(const std::string& source) const {
  MutexLock lock(&mutex_);
  const auto found = per_source_.find(source);
  const size_t from_source = found == per_source_.end() ? 0 : found->second;
  return connections_.size() < options_.max_connections &&
         from_source < options_.max_connections_per_source;
}

void HttpServer::Impl::Admit(tcp::socket socket) {
  boost::system::error_code error;
  const std::string source = socket.remote_endpoint(error).address().to_string();
  if (error) return;  // gone already
  if (!HasRoomFor(source)) return Refuse(std::move(socket));
  const auto connection = std::make_shared<Connection>(std::move(socket), *this);
  {
    MutexLock lock(&mutex_);
    connections_[connection.get()] = {connection, source};
    ++per_source_[source];
  }
  asio::post(connection->executor(), [connection] { connection->Start(); });
}

void HttpServer::Impl::Refuse(tcp::socket socket) {
  const HttpResponse response = ErrorResponse({.status = 503,
                                               .type = "server_error",
                                               .code = "too_many_connections",
                                               .message = "Too many connections are open.",
                                               .retry_after_seconds = 1});
  std::string answer = RenderHead({.status = 503,
                                   .content_type = response.content_type,
                                   .request_id = NewRequestId(),
                                   .content_length = response.body.size(),
                                   .close = true},
                                  response.headers);
  answer += response.body;
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(answer), ignored);  // fits any fresh send buffer
  socket.shutdown(tcp::socket::shutdown_both, ignored);
}

void HttpServer::Impl::Remove(Connection* connection) {
  MutexLock lock(&mutex_);
  const auto it = connections_.find(connection);
  CHECK(it != connections_.end());
  const auto source = per_source_.find(it->second.source);
  if (--source->second == 0) per_source_.erase(source);
  connections_.erase(it);
  if (connections_.empty()) none_left_.NotifyAll();
}

void HttpServer::Impl::ForEach(void (Connection::*method)()) {
  MutexLock lock(&mutex_);
  for (const auto& [key, entry] : connections_) {
    asio::post(entry.connection->executor(),
               [connection = entry.connection, method] { ((*connection).*method)(); });
  }
}

void HttpServer::Impl::BeginStop() {
  if (stopping_.exchange(true)) return;
  // On the acceptor's strand: no connection is admitted between the close and the round of calls.
  asio::post(acceptor_.get_executor(), [this] {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    ForEach(&Connection::OnServerStopping);
  });
}

void HttpServer::Impl::AwaitNoConnections(absl::Time deadline) {
  MutexLock lock(&mutex_);
  while (!connections_.empty()) {
    if (!none_left_.WaitWithDeadline(&mutex_, deadline)) return;
  }
}

void HttpServer::Impl::Stop(absl::Time deadline) {
  if (threads_.empty()) return;
  BeginStop();
  AwaitNoConnections(deadline);
  ForEach(&Connection::Abort);
  // A handler that does not return (encoding a long prompt) may hold its connection a little.
  AwaitNoConnections(absl::Now() + absl::Seconds(5));
  io_.stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

HttpServer::HttpServer(HttpServerOptions options, Router router)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(router))) {}
HttpServer::~HttpServer() { Stop(absl::InfinitePast()); }
absl::Status HttpServer::Start() { return impl_->Start(); }
uint16_t HttpServer::port() const { return impl_->port(); }
void HttpServer::BeginStop() { impl_->BeginStop(); }
void HttpServer::Stop(absl::Time deadline) { impl_->Stop(deadline); }
size_t HttpServer::num_connections() const { return impl_->num_connections(); }
uint64_t HttpServer::accept_failures() const { return impl_->accept_failures(); }

}  // namespace intactkv
