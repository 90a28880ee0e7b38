// A file mapped read-only into memory for as long as the object lives.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace intactkv {

// Movable, not copyable; the destructor unmaps. Thread-compatible; the bytes may be read from any
// thread. The bytes are valid only while the file keeps its length: a file that another process
// cuts while it is mapped ends this process with SIGBUS, as with every memory-mapped reader.
class MappedFile {
 public:
  // Errors, each naming the path: kNotFound (no such file), kInvalidArgument (not a regular file,
  // empty), kInternal (any other refusal by the system, with its reason).
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Gives back the memory of the pages that lie wholly in `part`; whoever reads them again reads
  // the file again. Nothing happens for bytes of another owner.
  void Discard(std::span<const std::byte> part) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace intactkv
