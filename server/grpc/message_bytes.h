// Messages from and to the bytes of a call. The service takes raw bytes, because gRPC itself
// answers a message that does not parse with UNIMPLEMENTED, as if the method were not there.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>

#include <optional>

#include "server/request/request_error.h"

namespace intactkv {

// 400 malformed_request if `bytes` are no such message (text that is not UTF-8 included).
std::optional<RequestError> ParseMessage(const grpc::ByteBuffer& bytes,
                                         google::protobuf::MessageLite& message);

grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite& message);

}  // namespace intactkv
