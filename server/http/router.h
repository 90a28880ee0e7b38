// Which handler answers a method and path; the answers for what nobody handles.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/exchange.h"

namespace intactkv {

using Handler = std::function<void(std::shared_ptr<Exchange>)>;

// Filled before the server starts, then only read: Thread-compatible, Dispatch is Thread-safe.
class Router {
 public:
  struct Route {
    std::string method;
    std::string path;
    bool is_prefix;  // path ends with '/' and stands for everything below it
    Handler handler;
  };

  void Add(std::string_view method, std::string_view path, Handler handler);
  // `prefix` ends with '/'; the rest of the path must not be empty.
  void AddPrefix(std::string_view method, std::string_view prefix, Handler handler);

  // Calls the handler, or answers 404 (unknown path), 405 with Allow (other method), 415 (POST
  // without application/json). HEAD is answered by GET's handler.
  void Dispatch(std::shared_ptr<Exchange> exchange) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace intactkv
