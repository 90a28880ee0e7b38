// An address as people and libraries write it.
#pragma once

#include <string>

namespace intactkv {

// "127.0.0.1:80"; an IPv6 address goes into brackets: "[::1]:80".
inline std::string HostPort(const std::string& host, int port) {
  const bool is_v6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace intactkv
