// How work reaches the place where a request lives.
#pragma once

#include <functional>

namespace intactkv {

// Runs a closure later, one at a time, never inside the call: an Asio strand, a gRPC call's queue.
// Thread-safe; callable until the Engine is gone.
using PostFn = std::function<void(std::function<void()>)>;

}  // namespace intactkv
