#include "tests/support/raw_http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/base/check.h"

namespace intactkv::test {

std::string RawAnswer::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return "";
}

namespace {

sockaddr_in Address(const char* host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  CHECK_EQ(::inet_pton(AF_INET, host, &address.sin_addr), 1);
  return address;
}

}  // namespace

RawHttpClient::RawHttpClient(uint16_t port, const char* source) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_GE(fd_, 0);
  const timeval patience{60, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const sockaddr_in from = Address(source, 0);
  CHECK_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&from), sizeof(from)), 0);
  const sockaddr_in to = Address("127.0.0.1", port);
  CHECK_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
}

RawHttpClient::~RawHttpClient() { ::close(fd_); }

void RawHttpClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void RawHttpClient::SendByteByByte(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) Send(bytes.substr(i, 1));
}

void RawHttpClient::FinishSending() { ::shutdown(fd_, SHUT_WR); }

bool RawHttpClient::ReadSome() {
  char bytes[16 << 10];
  const ssize_t n = ::recv(fd_, bytes, sizeof(bytes), 0);
  if (n <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(n));
  return true;
}

bool RawHttpClient::ReadLine(std::string& line) {
  size_t end = buffer_.find("\r\n");
  while (end == std::string::npos) {
    if (!ReadSome()) return false;
    end = buffer_.find("\r\n");
  }
  line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return true;
}

bool RawHttpClient::ReadExactly(size_t size, std::string& out) {
  while (buffer_.size() < size) {
    if (!ReadSome()) return false;
  }
  out.append(buffer_, 0, size);
  buffer_.erase(0, size);
  return true;
}

bool RawHttpClient::ReadChunks(std::string& out) {
  while (true) {
    std::string line;
    if (!ReadLine(line)) return false;
    const size_t size = std::strtoull(line.c_str(), nullptr, 16);
    if (!ReadExactly(size, out) || !ReadLine(line) || !line.empty()) return false;
    if (size == 0) return true;
  }
}

RawAnswer RawHttpClient::Read(bool head_only) {
  RawAnswer answer;
  std::string line;
  if (!ReadLine(line) || !line.starts_with("HTTP/1.1 ")) return {};
  answer.status = std::atoi(line.c_str() + 9);
  while (ReadLine(line) && !line.empty()) {
    const size_t colon = line.find(": ");
    if (colon == std::string::npos) return {};
    answer.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
  }
  if (head_only || answer.status == 100) return answer;
  bool whole = false;
  if (answer.Header("Transfer-Encoding") == "chunked") {
    whole = ReadChunks(answer.body);
  } else if (const std::string length = answer.Header("Content-Length"); !length.empty()) {
    whole = ReadExactly(std::strtoull(length.c_str(), nullptr, 10), answer.body);
  } else {  // until the server closes
    while (ReadSome()) {
    }
    answer.body = std::exchange(buffer_, {});
    whole = true;
  }
  return whole ? answer : RawAnswer{};
}

bool RawHttpClient::WaitFor(std::string_view text) {
  while (buffer_.find(text) == std::string::npos) {
    if (!ReadSome()) return false;
  }
  return true;
}

bool RawHttpClient::AtEnd() { return buffer_.empty() && !ReadSome(); }

}  // namespace intactkv::test
