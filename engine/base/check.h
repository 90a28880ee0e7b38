// CHECK: a broken invariant ends the process with file, line and message, in release builds too.
// Debian 12's Abseil has no absl/log; these macros are the subset that we use.
#pragma once

#include <sstream>
#include <string>

namespace intactkv::internal {

// Prints "file:line: CHECK failed: expression message" to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression,
                              const std::string& message);

// Collects the streamed message; its destructor does not return.
class CheckMessage {
 public:
  CheckMessage(const char* file, int line, const char* expression)
      : file_(file), line_(line), expression_(expression) {}
  [[noreturn]] ~CheckMessage() { CheckFailed(file_, line_, expression_, stream_.str()); }
  template <typename T>
  CheckMessage& operator<<(const T& value) {
    stream_ << value;
    return *this;
  }

 private:
  const char* file_;
  int line_;
  const char* expression_;
  std::ostringstream stream_;
};

struct Voidify {
  void operator&(const CheckMessage&) const {}
};

}  // namespace intactkv::internal

#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LT
#undef CHECK_LE
#undef CHECK_GT
#undef CHECK_GE
#undef DCHECK
#define CHECK(condition)                          \
  (condition) ? (void)0                           \
              : ::intactkv::internal::Voidify() & \
                    ::intactkv::internal::CheckMessage(__FILE__, __LINE__, #condition)
#define INTACTKV_CHECK_OP(a, op, b) CHECK((a)op(b)) << " (" << (a) << " vs " << (b) << ") "
#define CHECK_EQ(a, b) INTACTKV_CHECK_OP(a, ==, b)
#define CHECK_NE(a, b) INTACTKV_CHECK_OP(a, !=, b)
#define CHECK_LT(a, b) INTACTKV_CHECK_OP(a, <, b)
#define CHECK_LE(a, b) INTACTKV_CHECK_OP(a, <=, b)
#define CHECK_GT(a, b) INTACTKV_CHECK_OP(a, >, b)
#define CHECK_GE(a, b) INTACTKV_CHECK_OP(a, >=, b)
#ifdef NDEBUG
#define DCHECK(condition) CHECK(true || (condition))
#else
#define DCHECK(condition) CHECK(condition)
#endif
