// Between the generated types of intactkv.v1 and the structs that both wires share.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cstdint>
#include <string>
#include <vector>

#include "engine/api/text_codec.h"
#include "intactkv/v1/intactkv.pb.h"
#include "server/request/completion_stream.h"
#include "server/request/raw_request.h"
#include "server/request/request_error.h"
#include "server/request/text_request.h"
#include "server/request/validated_request.h"

namespace intactkv {

// Field by field; nothing is checked here (ValidateRequest does).
RawRequest ToRawRequest(const v1::GenerateRequest& request);

// What is the same in every message of one stream.
struct GrpcStreamIdentity {
  std::string id;
  int64_t created = 0;
  std::string model;
};

// One delta as one message.
v1::GenerateResponse ToResponse(const GrpcStreamIdentity& identity, const ChoiceDelta& delta,
                                const TextCodec& codec, const ValidatedRequest& request);

// The last message: usage only.
v1::GenerateResponse ToUsageResponse(const GrpcStreamIdentity& identity, const RequestUsage& usage);

// For a whole answer: what has come of a choice, appended to it, and at last the rest.
void AppendDelta(const ChoiceDelta& delta, const TextCodec& codec, const ValidatedRequest& request,
                 v1::GenerateUnaryResponse& out);
void FillEnd(const GrpcStreamIdentity& identity, const RequestUsage& usage,
             v1::GenerateUnaryResponse& out);

// Field by field; CheckTokenizeInput checks.
TokenizeInput ToTokenizeInput(const v1::TokenizeRequest& request);

// Same message as REST; the code is StatusCodeOf(error). REST's error code and the field at fault
// go into the trailing metadata intactkv-error-code and intactkv-error-param. Call it before
// Finish.
grpc::Status FailCall(grpc::CallbackServerContext& call, const RequestError& error);

}  // namespace intactkv
