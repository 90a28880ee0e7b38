// A parsed request and a whole response, as handlers see them. Plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace intactkv {

struct HttpHeader {
  std::string name;
  std::string value;
};

// True if `a` and `b` differ at most in the case of ASCII letters.
bool EqualIgnoringCase(std::string_view a, std::string_view b);

struct HttpRequest {
  std::string method;  // as sent; methods are case-sensitive
  std::string path;    // before '?', not percent-decoded; begins with '/'
  std::string query;   // after '?'
  std::vector<HttpHeader> headers;
  std::string body;
  std::string request_id;  // the client's X-Request-Id if it is well formed, else a fresh one

  // The first field of that name (any case), "" if there is none.
  std::string_view Header(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<HttpHeader> headers;
  std::string body;
};

// The reason phrase of a status that this server sends.
std::string_view ReasonPhrase(int status);

}  // namespace intactkv
