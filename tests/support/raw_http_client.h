// A blocking HTTP/1.1 client that sends exactly the bytes it is given, well formed or not, and
// reads one answer after the other. For tests of the listener.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace intactkv::test {

struct RawAnswer {
  int status = 0;  // 0: the server closed before a whole answer had come
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // chunks joined

  // The first field of that name (case as sent by our server), "" if there is none.
  std::string Header(std::string_view name) const;
};

// One connection to 127.0.0.1. A read that gets nothing for a minute counts as the connection's
// end, so a server that never answers fails a test and does not hang it. Thread-compatible.
class RawHttpClient {
 public:
  // CHECK-fails if nobody listens there. `source`: the address that the server sees.
  explicit RawHttpClient(uint16_t port, const char* source = "127.0.0.1");
  ~RawHttpClient();
  RawHttpClient(const RawHttpClient&) = delete;
  RawHttpClient& operator=(const RawHttpClient&) = delete;

  // Quietly stops where the server has closed.
  void Send(std::string_view bytes);
  // Each byte in a segment of its own.
  void SendByteByByte(std::string_view bytes);
  // Nothing more will be sent.
  void FinishSending();

  // The next answer. `head_only`: the request was a HEAD.
  RawAnswer Read(bool head_only = false);
  // Reads until what has come and was not yet given out by Read holds `text`; false at the end.
  bool WaitFor(std::string_view text);
  // Waits for the server to close; true if nothing more came before that.
  bool AtEnd();
  int fd() const { return fd_; }

 private:
  bool ReadSome();  // false at the end
  bool ReadLine(std::string& line);
  bool ReadExactly(size_t size, std::string& out);
  bool ReadChunks(std::string& out);

  int fd_ = -1;
  std::string buffer_;
};

}  // namespace intactkv::test
