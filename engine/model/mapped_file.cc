#include "engine/model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <system_error>
#include <utility>

#include "engine/base/status_macros.h"

namespace intactkv {
namespace {

// Closes a descriptor on every path.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status SystemError(const std::string& path, const char* what, int error) {
  const std::string message =
      path + ": " + what + ": " + std::error_code(error, std::generic_category()).message();
  return error == ENOENT ? NotFound(message) : Internal(message);
}

}  // namespace

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError(path, "cannot be opened", errno);
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return SystemError(path, "cannot be examined", errno);
  if (!S_ISREG(info.st_mode)) return InvalidArgument(path + ": is not a regular file");
  if (info.st_size <= 0) return InvalidArgument(path + ": is empty");
  const size_t size = static_cast<size_t>(info.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return SystemError(path, "cannot be mapped", errno);
  MappedFile file;
  file.path_ = path;
  file.data_ = static_cast<const std::byte*>(data);
  file.size_ = size;
  return file;
}

void MappedFile::Discard(std::span<const std::byte> part) const {
  const std::less_equal<const std::byte*> at_most;  // of any two pointers
  if (data_ == nullptr || !at_most(data_, part.data()) ||
      !at_most(part.data() + part.size(), data_ + size_)) {
    return;
  }
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t begin = (static_cast<size_t>(part.data() - data_) + page - 1) / page * page;
  const size_t end = static_cast<size_t>(part.data() - data_) + part.size();
  if (begin + page > end) return;
  // A refusal costs memory, nothing else.
  (void)madvise(const_cast<std::byte*>(data_) + begin, (end - begin) / page * page, MADV_DONTNEED);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  MappedFile taken(std::move(other));
  std::swap(path_, taken.path_);
  std::swap(data_, taken.data_);
  std::swap(size_, taken.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace intactkv
