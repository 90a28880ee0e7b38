#include "server/grpc/message_bytes.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <string>

namespace intactkv {

std::optional<RequestError> ParseMessage(const grpc::ByteBuffer& bytes,
                                         google::protobuf::MessageLite& message) {
  grpc::ByteBuffer readable = bytes;  // shares the slices
  grpc::ProtoBufferReader reader(&readable);
  if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) return std::nullopt;
  RequestError error;
  error.code = "malformed_request";
  error.message = "The request is not a message of this method's type.";
  return error;
}

grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

}  // namespace intactkv
